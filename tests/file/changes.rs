//! However the file is changed, the pool has what it says.

use std::fmt::Write;
use std::fs;
use std::time::{Duration, Instant};

use evenkeel::Pool;
use evenkeel::discover::{File, Follow, Format};
use evenkeel::http::Address;

use crate::{Directory, checked, follow, ids, replace, told, until, until_fresh, until_ids};

#[tokio::test]
async fn another_file_is_renamed_over_it() {
    let directory = Directory::new();
    let path = directory.join("backends.json");
    for file in [told, checked] {
        replace(&path, r#"["a:1", "b:1"]"#);
        let (pool, _feeding) = follow(file(&path));
        until_ids(&pool, &["a:1", "b:1"]).await;
        // Of the same length, and within what file systems round times to.
        replace(&path, r#"["a:1", "c:1"]"#);
        until_ids(&pool, &["a:1", "c:1"]).await;
        replace(&path, r#"["c:1"]"#);
        until_ids(&pool, &["c:1"]).await;
    }
}

#[tokio::test]
async fn it_is_written_in_place() {
    let directory = Directory::new();
    let path = directory.join("backends.json");
    for file in [told, checked] {
        fs::write(&path, r#"["a:1"]"#).unwrap();
        let (pool, _feeding) = follow(file(&path));
        until_ids(&pool, &["a:1"]).await;
        fs::write(&path, r#"["b:1"]"#).unwrap();
        until_ids(&pool, &["b:1"]).await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_config_map_swaps_the_directory_behind_a_link() {
    use std::os::unix::fs::symlink;

    let directory = Directory::new();
    let path = directory.join("backends.json");
    let put = |version: &str, text: &str| {
        let data = directory.join(version);
        fs::create_dir(&data).unwrap();
        fs::write(data.join("backends.json"), text).unwrap();
        let link = directory.join("..data_tmp");
        symlink(version, &link).unwrap();
        fs::rename(&link, directory.join("..data")).unwrap();
    };
    put("..1", r#"["a:1"]"#);
    symlink("..data/backends.json", &path).unwrap();
    let (pool, _feeding) = follow(told(&path));
    until_ids(&pool, &["a:1"]).await;
    put("..2", r#"["b:1"]"#);
    fs::remove_dir_all(directory.join("..1")).unwrap();
    until_ids(&pool, &["b:1"]).await;
    put("..3", r#"["c:1"]"#);
    until_ids(&pool, &["c:1"]).await;
}

#[cfg(unix)]
#[tokio::test]
async fn what_a_link_leads_to_is_changed_where_it_is() {
    let (here, there) = (Directory::new(), Directory::new());
    let (path, real) = (here.join("backends.json"), there.join("real.json"));
    replace(&real, r#"["a:1"]"#);
    std::os::unix::fs::symlink(&real, &path).unwrap();
    let (pool, _feeding) = follow(told(&path));
    until_ids(&pool, &["a:1"]).await;
    replace(&real, r#"["b:1"]"#);
    until_ids(&pool, &["b:1"]).await;
}

/// How long nothing was written, at the most, while a text was written in pieces, each of which is
/// cut short by so many bytes.
async fn write_in_pieces(pool: &Pool<Address>, path: &std::path::Path, cut: usize) -> Duration {
    let (mut text, mut longest, mut last) = (String::new(), Duration::ZERO, Instant::now());
    for at in 0..20 {
        writeln!(text, "[[backend]]\naddress = \"b{at:02}:1\"").unwrap();
        fs::write(path, &text[..text.len() - cut]).unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
        longest = longest.max(last.elapsed());
        last = Instant::now();
        // On a machine that stands still meanwhile, a piece is as good as the whole.
        assert!(pool.len() == 1 || longest > Duration::from_millis(40));
    }
    fs::write(path, &text).unwrap();
    longest.max(last.elapsed())
}

#[tokio::test]
async fn a_file_that_is_written_in_pieces_is_no_error_and_no_piece_is_taken() {
    let directory = Directory::new();
    let path = directory.join("backends.toml");
    for cut in [0, 3] {
        fs::write(&path, "backend = [\"a:1\"]").unwrap();
        let (pool, _feeding) = follow(told(&path));
        until_ids(&pool, &["a:1"]).await;
        let mut events = pool.events();
        let longest = write_in_pieces(&pool, &path, cut).await;
        until("all of them", || pool.len() == 20).await;
        if longest > Duration::from_millis(40) {
            println!("skipped: this machine was too slow");
            continue;
        }
        for event in std::iter::from_fn(|| events.try_next()) {
            assert!(!event.to_string().contains("stale"), "{event}");
        }
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_yet_is_noticed_when_it_is() {
    let directory = Directory::new();
    let path = directory.join("backends.json");
    for file in [told, checked] {
        let (pool, _feeding) = follow(file(&path));
        crate::until_error(&pool, "it cannot be read").await;
        replace(&path, r#"["a:1"]"#);
        until_ids(&pool, &["a:1"]).await;
        until_fresh(&pool).await;
        fs::remove_file(&path).unwrap();
    }
}

#[tokio::test]
async fn so_is_one_in_a_directory_that_is_not_there_yet() {
    let directory = Directory::new();
    let path = directory.join("later/backends.json");
    let file = File::new(&path).unwrap();
    let file = file.check_every(Duration::from_millis(20)).unwrap();
    let (pool, _feeding) = follow(file);
    crate::until_error(&pool, "it cannot be read").await;
    fs::create_dir(directory.join("later")).unwrap();
    replace(&path, r#"["a:1"]"#);
    until_ids(&pool, &["a:1"]).await;
}

#[tokio::test]
async fn what_leaves_nobody_is_taken_only_by_who_allows_it() {
    let directory = Directory::new();
    let path = directory.join("backends");
    replace(&path, "backend = [\"a:1\"]");
    let file = || File::with_format(&path, Format::Toml);
    let pools = [false, true].map(|allow| {
        let pool = Pool::<Address>::new();
        let feeding = Follow::new(file()).allow_empty(allow).spawn(&pool);
        (pool, feeding)
    });
    for (pool, _) in &pools {
        until_ids(pool, &["a:1"]).await;
    }
    replace(&path, "backend = []");
    crate::until_error(&pools[0].0, "an empty set").await;
    until_ids(&pools[1].0, &[]).await;
    assert_eq!(ids(&pools[0].0), ["a:1"]);

    // Nothing at all is nothing yet.
    replace(&path, "backend = [\"a:1\"]");
    until_ids(&pools[1].0, &["a:1"]).await;
    replace(&path, "");
    crate::until_error(&pools[1].0, "it is empty").await;
    assert_eq!(ids(&pools[1].0), ["a:1"]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_watch_ends_with_the_pool_and_with_the_feeding() {
    // Other tests of this process have watches of their own, so this one is known by its directory.
    let directory = Directory::new();
    let path = directory.join("backends.json");
    replace(&path, r#"["a:1"]"#);
    let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&directory.0).unwrap());
    let watched = || {
        let Ok(open) = fs::read_dir("/proc/self/fdinfo") else {
            return false;
        };
        open.flatten().any(|file| {
            let info = fs::read_to_string(file.path()).unwrap_or_default();
            info.contains(&format!("ino:{inode:x} "))
        })
    };
    for drop_pool in [true, false] {
        let (pool, feeding) = follow(told(&path));
        until_ids(&pool, &["a:1"]).await;
        until("a watch", watched).await;
        if drop_pool {
            drop(pool);
            let _ended = feeding.await;
        } else {
            drop(feeding);
        }
        until("no watch", || !watched()).await;
    }
}
