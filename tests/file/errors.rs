//! A file that is no good: said clearly, once, and the last good set stays.

use std::fs;
use std::time::Duration;

use evenkeel::discover::{File, Source};
use futures_util::StreamExt;

use crate::{Directory, checked, follow, ids, replace, told, until_error, until_fresh, until_ids};

#[tokio::test]
async fn what_does_not_parse_is_told_once_and_the_last_good_set_stays() {
    let directory = Directory::new();
    let path = directory.join("backends.toml");
    replace(&path, "backend = [\"a:1\"]");
    for file in [told, checked] {
        let (pool, _feeding) = follow(file(&path));
        until_ids(&pool, &["a:1"]).await;
        let mut events = pool.events();
        replace(&path, "backend = [\"a:1\", \"b:1");
        until_error(&pool, "it cannot be parsed").await;
        // Time for it to be told again and again.
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(ids(&pool), ["a:1"]);
        let told = std::iter::from_fn(|| events.try_next()).count();
        assert_eq!(told, 1);
        // As it was before.
        replace(&path, "backend = [\"a:1\"]");
        until_fresh(&pool).await;
        assert_eq!(ids(&pool), ["a:1"]);
    }
}

#[tokio::test]
async fn each_thing_that_can_be_wrong_is_said() {
    let directory = Directory::new();
    let path = directory.join("backends.json");
    replace(&path, r#"["a:1"]"#);
    let (pool, _feeding) = follow(told(&path).max_size(100));
    until_ids(&pool, &["a:1"]).await;

    fs::remove_file(&path).unwrap();
    until_error(&pool, "it cannot be read: No such file or directory").await;
    fs::create_dir(&path).unwrap();
    until_error(&pool, "it is no regular file").await;
    fs::remove_dir(&path).unwrap();
    replace(&path, &format!("[{}]", " ".repeat(100)));
    until_error(&pool, "it has more than 100 bytes").await;
    fs::write(&path, [b'[', 0xff]).unwrap();
    until_error(&pool, "it is not UTF-8 at byte 1").await;
    replace(&path, "{}");
    until_error(&pool, "it has no list `backend`").await;
    replace(&path, "");
    until_error(&pool, "it is empty").await;
    assert_eq!(ids(&pool), ["a:1"]);
    replace(&path, r#"["b:1"]"#);
    until_ids(&pool, &["b:1"]).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_this_user_must_not_read_is_read_when_it_may() {
    use std::os::unix::fs::PermissionsExt;

    let directory = Directory::new();
    let path = directory.join("backends.json");
    replace(&path, r#"["a:1"]"#);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o0)).unwrap();
    if fs::read(&path).is_ok() {
        println!("skipped: this user may read everything");
        return;
    }
    let (pool, _feeding) = follow(told(&path));
    until_error(&pool, "it cannot be read: Permission denied").await;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    until_ids(&pool, &["a:1"]).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_device_without_an_end_is_not_read() {
    let directory = Directory::new();
    let path = directory.join("backends.json");
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    let (pool, _feeding) = follow(told(&path));
    until_error(&pool, "it is no regular file").await;
}

#[tokio::test]
async fn a_stream_after_an_error_waits_for_a_change_instead_of_telling_it_again() {
    let directory = Directory::new();
    let path = directory.join("backends.json");
    replace(&path, "[");
    let mut file = told(&path);
    let mut first = file.watch().unwrap();
    assert!(first.next().await.unwrap().is_err());
    assert!(first.next().await.is_none());
    let mut second = file.watch().unwrap();
    let early = tokio::time::timeout(Duration::from_millis(500), second.next()).await;
    assert!(early.is_err(), "{early:?}");
    replace(&path, "[]");
    assert!(second.next().await.unwrap().is_ok());
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let error = File::new("backends.yaml").unwrap_err().to_string();
    assert!(
        error.contains("backends.yaml") && error.contains(".toml"),
        "{error}"
    );
    let file = File::new("dir/backends.toml").unwrap();
    assert_eq!(file.name(), "file dir/backends.toml");
    let error = file.check_every(Duration::ZERO).unwrap_err();
    assert!(error.to_string().contains("more than 0"), "{error}");
}
