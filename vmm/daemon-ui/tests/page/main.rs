//! The page in a headless Chromium, with a daemon that is none.
//!
//! Where there is no Chromium the tests are skipped by name; with `PARAVANE_LANES=required` they
//! fail instead. With `PARAVANE_SCREENSHOTS=FOLDER` the test `pictures` leaves its pictures there.

mod console;
mod create;
mod fake;
mod list;
mod pictures;
mod token;
mod vm;

use fake::Daemon;
use libtest_mimic::{Arguments, Failed, Trial};
use paravane_browser::{Browser, Page};
use std::sync::{Arc, OnceLock};

type Outcome = Result<(), String>;

/// The browser that all tests share, which the first one starts.
type Shared = Arc<OnceLock<Result<Browser, String>>>;

fn main() {
    let mut arguments = Arguments::from_args();
    // Each keeps a processor busy.
    arguments.test_threads.get_or_insert(2);
    let browser = Shared::default();
    let mut trials = Vec::new();
    macro_rules! trials {
        ($($module:ident::$name:ident,)*) => {
            $(trials.push(trial(stringify!($module), stringify!($name), &browser, |page| Box::pin($module::$name(page))));)*
        };
    }
    trials![
        list::shows_each_vm_with_its_figures,
        list::follows_events,
        list::filters_and_sorts,
        list::starts_a_vm,
        list::says_that_the_daemon_is_away,
        vm::does_what_its_buttons_say,
        vm::asks_before_something_is_lost,
        vm::shows_why_something_failed,
        vm::draws_charts,
        vm::follows_the_log,
        vm::takes_and_restores_snapshots,
        vm::is_gone_when_it_is_deleted,
        vm::is_found_by_its_name,
        vm::shows_what_is_hostile_as_text,
        console::shows_bytes_and_sends_keys,
        console::is_read_only_until_it_takes_over,
        console::can_be_left_by_keyboard,
        create::sends_what_the_form_says,
        create::shows_which_field_is_wrong,
        token::is_asked_for_and_sent,
        pictures::pictures,
    ];
    let conclusion = libtest_mimic::run(&arguments, trials);
    // The browser is closed before the process ends.
    drop(browser);
    conclusion.exit();
}

type Test = for<'a> fn(&'a Page) -> std::pin::Pin<Box<dyn Future<Output = Outcome> + 'a>>;

fn trial(module: &str, name: &str, browser: &Shared, test: Test) -> Trial {
    let name = format!("{module}::{name}");
    if let Err(reason) = paravane_browser::find() {
        eprintln!("browser: {name} SKIPPED: {reason}");
        let required = std::env::var_os("PARAVANE_LANES").is_some_and(|lanes| lanes == "required");
        return Trial::test(name, move || Err(reason.into())).with_ignored_flag(!required);
    }
    let browser = Arc::clone(browser);
    Trial::test(name, move || {
        let browser = browser.get_or_init(Browser::launch).as_ref();
        let run = browser?.test(async |page| test(page).await);
        run.map_err(Failed::from)
    })
}

/// Opens the page of the daemon at an address such as `/vms/web`.
async fn open(page: &Page, daemon: &Daemon, address: &str) -> Outcome {
    let origin = daemon.serve().await?;
    page.visit(&origin, &format!("/ui/#{address}")).await
}

/// An error if `left` is not `right`.
fn same<T: PartialEq + std::fmt::Debug>(left: T, right: T) -> Outcome {
    match left == right {
        true => Ok(()),
        false => Err(format!("{left:?} is not {right:?}")),
    }
}
