//! A folder of the host: `share=list,...` lists what is in it, `share=cat,...` prints a file, and
//! `share=follow,...` prints what is added to one.

use super::EXIT_FAILED;
use crate::command_line::Misuse;
use alloc::format;
use embedded_io_async::Read;
use paravane_sdk::exec::{self, AsyncConsole};
use paravane_sdk::virtio::{
    self,
    share::{Kind, Share, ShareError},
};
use paravane_sdk::{console, println};

/// What may follow the verb.
pub const ARGUMENT: &str = "=list|cat|follow[,tag=TAG][,path=PATH]";

/// Does what the argument says, with the first share and its root where nothing else is said.
pub fn run(argument: Option<&str>) -> Result<i32, Misuse> {
    let mut parts = argument.unwrap_or_default().split(',');
    let what = parts.next().unwrap_or_default();
    let (mut tag, mut path) = (None, "/");
    for part in parts {
        match part.split_once('=') {
            Some(("tag", value)) => tag = Some(value),
            Some(("path", value)) => path = value,
            _ => return Err(Misuse(format!("\"{part}\" is no tag=TAG and no path=PATH"))),
        }
    }
    let done = match what {
        "list" => exec::block_on(list(tag, path)),
        "cat" => exec::block_on(cat(tag, path)),
        "follow" => exec::block_on(follow(tag, path)),
        other => {
            return Err(Misuse(format!(
                "\"{other}\" is nothing to do with a share; use share{ARGUMENT}"
            )));
        }
    };
    Ok(match done {
        Ok(()) => 0,
        Err(error) => {
            println!("share failed: {error}");
            EXIT_FAILED
        }
    })
}

/// Prints for each entry its kind, its size in bytes, and its name.
async fn list(tag: Option<&str>, path: &str) -> Result<(), ShareError> {
    let share = Share::mount(tag).await?;
    for entry in share.list(path).await? {
        let kind = match entry.kind {
            Kind::File => "file",
            Kind::Folder => "folder",
            Kind::Link => "link",
            Kind::Other => "other",
        };
        let metadata = share.metadata(&format!("{path}/{}", entry.name)).await?;
        println!("{kind} {} {}", metadata.size, entry.name);
    }
    Ok(())
}

async fn cat(tag: Option<&str>, path: &str) -> Result<(), ShareError> {
    let bytes = Share::mount(tag).await?.read(path).await?;
    // Nobody reads it any more: that is no error.
    let _ = console::write(&bytes);
    Ok(())
}

/// Says "following", and for each piece of the console's input, until that ends, prints what there is
/// of the file behind what it printed before, and how many entries its folder has.
async fn follow(tag: Option<&str>, path: &str) -> Result<(), ShareError> {
    let share = Share::mount(tag).await?;
    let mut file = share.open(path).await?;
    let folder = path.rsplit_once('/').map_or("/", |(folder, _)| folder);
    println!("following");
    let input = AsyncConsole::new().map_err(virtio::Error::from)?;
    let mut buffer = [0; 512];
    while input.read(&mut buffer).await.map_err(virtio::Error::from)? > 0 {
        loop {
            let size = file.read(&mut buffer).await?;
            if size == 0 {
                break;
            }
            // Nobody reads it any more: that is no error.
            let _ = console::write(&buffer[..size]);
        }
        println!("{} entries", share.list(folder).await?.len());
    }
    Ok(())
}
