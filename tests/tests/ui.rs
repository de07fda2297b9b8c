//! The web page with a daemon and a VM that are real: from the form of a new VM to its end.
//! What else the page does is tested without VMs, by the crate `paravane-daemon-ui`.

use libtest_mimic::{Arguments, Failed, Trial};
use paravane_browser::{Browser, Page};
use paravane_tests::lanes;
use paravane_tests::program::{self, Running};
use std::fs::Permissions;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long the daemon may take to begin. Only a defect takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

const TOKEN: &str = "a-token-of-this-test";

fn main() {
    let arguments = Arguments::from_args();
    let name = "the_page_creates_a_vm_and_shows_what_it_does";
    let trial = match paravane_browser::find() {
        Ok(_) if !program::has_local_kvm(name) => return,
        Ok(_) => Trial::test(name, || creates_a_vm().map_err(Failed::from)),
        Err(reason) => {
            eprintln!("browser: {name} SKIPPED: {reason}");
            Trial::test(name, move || Err(reason.into())).with_ignored_flag(!lanes::required())
        }
    };
    libtest_mimic::run(&arguments, vec![trial]).exit();
}

/// A daemon with a folder of its own. Its VMs end with it.
struct Daemon {
    process: Option<Running>,
    address: SocketAddr,
    _folder: TempDir,
}

impl Daemon {
    fn start() -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        // VMs' processes reach their folders through it, as users of their own.
        let passable = Permissions::from_mode(0o711);
        std::fs::set_permissions(folder.path(), passable).map_err(|error| error.to_string())?;
        let token = folder.path().join("token");
        std::fs::write(&token, TOKEN).map_err(|error| error.to_string())?;
        // A port that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(|error| error.to_string())?;
        let mut command = program::paravane(["daemon", "--stop-vms"]);
        command
            .arg("--socket")
            .arg(folder.path().join("api.sock"))
            .arg("--state-dir")
            .arg(folder.path().join("state"))
            .arg("--token-file")
            .arg(&token)
            .args(["--listen", &address.to_string()]);
        let daemon = Self {
            process: Some(Running::start(&mut command)),
            address,
            _folder: folder,
        };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > end {
                return Err(format!("nobody listens at {address}"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.ask_to_end();
            let (_, said) = process.end();
            eprintln!("{said}");
        }
    }
}

fn creates_a_vm() -> Result<(), String> {
    let daemon = Daemon::start()?;
    let browser = Browser::launch()?;
    browser.test(async |page| {
        page.visit(&format!("http://{}", daemon.address), "/ui/")
            .await?;
        page.fill("Token", TOKEN).await?;
        page.press("Sign in").await?;
        page.shows("There is no VM yet.").await?;
        create(page).await?;
        use_console(page).await?;
        look(page).await?;
        end(page).await
    })
}

async fn create(page: &Page) -> Result<(), String> {
    page.press("New VM").await?;
    // First one that the daemon refuses.
    page.fill("Name", "Not-A-Name").await?;
    page.press("Create").await?;
    page.until("document.getElementById('name').ariaInvalid === 'true'")
        .await?;
    page.fill("Name", "of-the-page").await?;
    page.fill("Command line", "shell=echo").await?;
    page.fill("Memory in MiB", "8").await?;
    page.press("Create").await?;
    page.until("document.querySelector('h1 .state')?.innerText === 'running'")
        .await
}

/// The terminal's text, with spaces as they are typed.
const TERMINAL: &str =
    "(document.querySelector('.xterm-rows')?.innerText ?? '').replaceAll('\\u00a0', ' ')";

async fn use_console(page: &Page) -> Result<(), String> {
    page.until(&format!("{TERMINAL}.includes('paravane> ')"))
        .await?;
    page.click("//div[@class='screen']").await?;
    page.type_text("help").await?;
    page.key("Enter").await?;
    page.until(&format!(
        "{TERMINAL}.includes('the memory map and the heap')"
    ))
    .await
}

async fn look(page: &Page) -> Result<(), String> {
    page.press("Overview").await?;
    page.until("document.querySelectorAll('.chart canvas').length === 4")
        .await?;
    // A rate needs figures twice.
    page.until(
        "[...document.querySelectorAll('.chart output')].every((output) => output.value !== '–')",
    )
    .await?;
    page.shows("8 MiB").await?;
    page.until("document.querySelector('.figures')").await?;
    page.press("Log").await?;
    page.shows("type help for a list of commands").await
}

async fn end(page: &Page) -> Result<(), String> {
    let state =
        |state: &str| format!("document.querySelector('h1 .state').innerText === '{state}'");
    page.press("Pause").await?;
    page.until(&state("paused")).await?;
    page.press("Resume").await?;
    page.until(&state("running")).await?;
    page.press("Console").await?;
    page.shows("Connected").await?;
    page.click("//div[@class='screen']").await?;
    page.type_text("exit 3").await?;
    page.key("Enter").await?;
    page.until(&state("failed")).await?;
    page.shows("The guest shut down with code 3").await?;
    page.press("Start").await?;
    page.until(&state("running")).await?;
    page.press("Delete").await?;
    page.click("//dialog//button[normalize-space()='Delete']")
        .await?;
    page.shows("There is no VM yet.").await
}
