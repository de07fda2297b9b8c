//! Two guests of one VMM that pass each other messages through memory that they share.
//!
//! Both run this image; which part a guest plays, its number says:
//!
//! ```sh
//! cargo build --release
//! paravane run target/release/shared-memory --guest target/release/shared-memory
//! ```
//!
//! Guest 0 grants guest 1 two pages, a ring of messages in each. Guest 1 answers what it is asked.
//! Then guest 0 takes the memory back without a word, and guest 1 finds out.

#![no_std]
#![no_main]

extern crate alloc;

mod ring;

use alloc::string::String;
use paravane_sdk::abi::address_space::PAGE_SIZE;
use paravane_sdk::event::{Port, Priority, Source};
use paravane_sdk::grant::{self, Attached, Grant, Offer, Rights, SharedMemory};
use paravane_sdk::hypercall::raw;
use paravane_sdk::pages::Pages;
use paravane_sdk::{Errno, Features, entry, println, start_info};
use ring::{Message, Ring};

entry!(main, requires(Features::GRANTS.union(Features::EVENTS)));

const QUESTIONS: [&str; 3] = [
    "who are you?",
    "where is the memory?",
    "what is left of it?",
];

/// The two rings: questions, and answers.
const RINGS: usize = 2;

fn main() -> i32 {
    let page = start_info::get().page();
    if page.guests != 2 {
        println!("this takes two guests: run it with --guest and the image once more");
        return 2;
    }
    let part = match page.guest {
        0 => ask(),
        _ => answer(),
    };
    match part {
        Ok(()) => 0,
        Err(error) => {
            println!("{error}");
            1
        }
    }
}

/// Guest 0 owns the memory.
fn ask() -> Result<(), Errno> {
    // Zeros: an empty ring, and nothing that is not the other guest's business.
    let pages = Pages::zeroed(RINGS * PAGE_SIZE as usize).ok_or(Errno::ENOMEM)?;
    let grant = Grant::give(1, pages, Rights::ReadWrite)?;
    let [questions, answers] = rings(grant.memory());
    for question in QUESTIONS {
        // What this guest granted, nobody else takes back.
        let _ = questions.send(question.as_bytes());
        println!("asked:    {question}");
        if let Ok(text) = receive(&answers) {
            println!("answered: {text}");
        }
    }
    // From here on, guest 1 cannot touch the pages any more, whatever it does.
    drop(grant);
    println!("the memory is taken back");
    Ok(())
}

/// Guest 1 uses it for as long as it may.
fn answer() -> Result<(), Errno> {
    // Raised when something is granted or taken back.
    let notices = Port::for_source(Source::Grant, 0, Priority::default())?;
    let offer = wait_for_offer(&notices)?;
    let attached = Attached::new(offer.guest, offer.number)?;
    println!(
        "attached {} bytes of guest {}",
        attached.memory().size(),
        attached.guest()
    );
    let [questions, answers] = rings(attached.memory());
    // An access to memory that was taken back is an error here, not a crash.
    while let Ok(question) = receive(&questions) {
        let answer = match question.as_str() {
            "who are you?" => "guest 1 of 2",
            "where is the memory?" => "in guest 0, which lets me use it",
            _ => "two pages, until you take them back",
        };
        if answers.send(answer.as_bytes()).is_err() {
            break;
        }
    }
    println!(
        "the memory is gone; {} offers are left",
        grant::offers()?.len()
    );
    Ok(())
}

/// The rings in shared memory, a page each.
fn rings(memory: &SharedMemory) -> [Ring<'_>; RINGS] {
    let ring = |index: usize| Ring::new(memory, index * PAGE_SIZE as usize, PAGE_SIZE as usize);
    [ring(0), ring(1)]
}

/// Waits for a message; an error when the memory is gone.
fn receive(ring: &Ring<'_>) -> Result<String, paravane_sdk::access::Gone> {
    let mut message = Message::default();
    while !ring.receive(&mut message)? {
        // Let the other guest run, which may need this processor.
        let _ = raw::sched_yield();
    }
    // It is another guest's, so it is whatever that likes.
    Ok(String::from_utf8_lossy(message.bytes()).into_owned())
}

fn wait_for_offer(notices: &Port) -> Result<Offer, Errno> {
    loop {
        if let Some(&offer) = grant::offers()?.first() {
            return Ok(offer);
        }
        while !notices.take() {
            // Until it is raised. It may have been, before this: then the call returns at once.
            let ports = u64::from(notices.number());
            raw::sched_poll(paravane_sdk::address::of(&ports), 1, u64::MAX)?;
        }
    }
}
