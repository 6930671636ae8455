//! A pool that has what a file says, while the file changes.
//!
//! `cargo run --example file_discovery --features file`

use std::fs;
use std::path::Path;
use std::time::Duration;

use evenkeel::Pool;
use evenkeel::discover::{File, Follow};
use evenkeel::http::Address;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = format!("evenkeel-file-discovery-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    fs::create_dir_all(&directory)?;
    let told = follow(&directory.join("backends.toml")).await;
    fs::remove_dir_all(&directory)?;
    told
}

async fn follow(path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    write(path, "[[backend]]\naddress = '10.0.0.1:8080'\n")?;

    let pool = Pool::<Address>::new();
    let mut events = pool.events();
    let _feeding = Follow::new(File::new(path)?).spawn(&pool);
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            println!("    {event}");
        }
    });
    show(&pool, "one backend").await;

    write(
        path,
        "[[backend]]\naddress = '10.0.0.1:8080'\nweight = 3\n\
         [[backend]]\naddress = '10.0.0.2:8080'\n\
         [[backend]]\naddress = '10.0.0.3:8080'\nhealth = 'draining'\n",
    )?;
    show(&pool, "two more, one of them about to leave").await;

    write(
        path,
        "[[backend]]\naddress = '10.0.0.1:8080'\nweight = -3\n\
         [[backend]]\naddress = '10.0.0.2:8080'\n",
    )?;
    show(&pool, "a weight that is no good hides no other backend").await;

    write(path, "[[backend]\n")?;
    show(&pool, "a slip: the last good set stays").await;

    write(path, "backend = ['10.0.0.9:8080']\n")?;
    show(&pool, "put right").await;
    Ok(())
}

/// Beside the file, and renamed over it, so that nobody sees a half of it.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, text)?;
    fs::rename(&beside, path)
}

async fn show(pool: &Pool<Address>, what: &str) {
    tokio::time::sleep(Duration::from_secs(1)).await;
    println!("{what}:");
    for backend in pool.list() {
        println!(
            "  {} weight {} {}",
            backend.id(),
            backend.weight(),
            backend.state()
        );
    }
    for source in pool.status().sources() {
        println!("  {source}");
    }
}
