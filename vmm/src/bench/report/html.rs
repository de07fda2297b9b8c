//! The run as one page that needs nothing else: no other file, no network, no script.

mod detail;
mod method;
mod table;

use super::charts;
use super::column;
use super::findings;
use super::notes::Notes;
use super::peers::Peers;
use crate::bench::result::Results;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("html/style.css");
/// Shows a box that filters rows; without it, the page has all but that.
const FILTER: &str = include_str!("html/filter.js");

/// The page.
pub fn render(results: &Results, peers: Option<&Peers>) -> String {
    let peers: Vec<_> = peers
        .into_iter()
        .flat_map(|peers| peers.in_unit(results.unit))
        .collect();
    let from = &results.provenance;
    let mut notes = Notes::default();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Paravane bench, " (from.cpu) ", " (from.date) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    p.kicker { "Paravane bench" }
                    h1 { "Hypercalls against trapped instructions" }
                    p.where {
                        (from.cpu) " · Linux " (from.kernel) " · " time datetime=(from.date) { (from.date) }
                    }
                    (steadiness(results))
                }
                nav aria-label="Sections" {
                    a href="#findings" { "Findings" }
                    a href="#overview" { "Overview" }
                    a href="#table" { "All rows" }
                    a href="#rows" { "Distributions" }
                    a href="#method" { "Method" }
                    a href="#host" { "Host" }
                }
                main {
                    (says(results))
                    @if let Some(svg) = charts::bars::overview(results) {
                        section #overview {
                            h2 { "Overview" }
                            (figure(&svg))
                        }
                    }
                    (table::section(results, &peers, &mut notes))
                    section #rows {
                        h2 { "Distributions" }
                        p { "Each row with every figure, its distribution, and what batches save." }
                        @for (group, rows) in column::groups(results) {
                            h3 { (group) }
                            @if let Some(svg) = charts::bars::group(results, group, &rows) {
                                (figure(&svg))
                            }
                            @for row in rows {
                                (detail::row(results, row))
                            }
                        }
                    }
                    (method::section(results))
                    (method::host(results))
                }
                script { (PreEscaped(FILTER)) }
            }
        }
    };
    page.into_string()
}

fn says(results: &Results) -> Markup {
    let findings = findings::findings(results);
    html! {
        section #findings {
            h2 { "Findings" }
            @if findings.is_empty() {
                p { "The run measured too little to say anything." }
            } @else {
                ul.findings {
                    @for finding in findings {
                        li { (finding) }
                    }
                }
            }
        }
    }
}

fn steadiness(results: &Results) -> Markup {
    let stability = &results.stability;
    html! {
        @if !results.complete {
            p.banner { "The run was interrupted: what it had not come to is missing." }
        }
        @if stability.noisy {
            div.banner role="note" {
                strong { "The run was noisy: small differences mean nothing." }
                ul { @for reason in &stability.reasons { li { (reason) } } }
            }
        } @else {
            p.steady { "The run was steady." }
        }
    }
}

/// A chart. It scrolls where the window is too narrow for its text.
fn figure(svg: &str) -> Markup {
    html! { figure tabindex="0" { (PreEscaped(svg)) } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixture;

    fn page() -> String {
        render(&fixture::results(), Some(&fixture::peers()))
    }

    /// The page without tags, its text with single spaces.
    fn text(page: &str) -> String {
        let mut text = String::new();
        for part in page.split('<').skip(1) {
            text.push_str(part.split_once('>').expect("a tag ends").1);
            text.push(' ');
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_page_loads_nothing() {
        let page = page().replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        let peer = "https://example.org/solo5";
        assert!(page.contains(peer), "the peer's source is text");
        let page = page.replace(peer, "");
        for load in ["http:", "https:", "src=", "url(", "@import", "<link", "//"] {
            assert!(!page.contains(load), "{load}");
        }
    }

    #[test]
    fn what_a_title_or_a_host_says_is_text() {
        let page = page();
        assert!(page.contains("SGDT &lt;of whom?&gt; &amp; &quot;why&quot;"));
        assert!(page.contains("AMD EPYC &lt;9B45&gt;"));
        for raw in ["<of whom?>", "<9B45>", "<cannot>", "<same>"] {
            assert!(!page.contains(raw), "{raw}");
        }
    }

    #[test]
    fn findings_come_before_the_table_and_the_method() {
        let page = page();
        let place = |id: &str| page.find(&format!("id=\"{id}\"")).unwrap();
        let places = ["findings", "overview", "table", "rows", "method", "host"].map(place);
        assert!(places.is_sorted(), "{places:?}");
        for finding in findings::findings(&fixture::results()) {
            let escaped = html! { (finding) }.into_string();
            assert!(page.contains(&escaped), "{finding}");
        }
    }

    #[test]
    fn a_cell_has_its_median_its_mark_and_its_footnote() {
        let page = page();
        let text = text(&page);
        assert!(text.contains("MOV to CR3 64.0 ns"), "{text}");
        assert!(page.contains(&format!("title=\"{}\"", fixture::MARK)));
        // In the tooltip, in the footnote, and at the row's figures.
        assert_eq!(page.matches(fixture::MARK).count(), 3);
        assert!(text.contains("wrong, silently"));
        assert!(text.contains("2/1 exits"));
    }

    #[test]
    fn every_link_leads_somewhere() {
        let page = page();
        let links = page.split("href=\"#").skip(1);
        let ids: Vec<_> = links.map(|link| link.split('"').next().unwrap()).collect();
        assert!(ids.len() > 10);
        for id in ids {
            let targets = page.matches(&format!("id=\"{id}\"")).count();
            assert_eq!(targets, 1, "{id}");
        }
    }

    #[test]
    fn every_row_has_its_figures_and_charts() {
        let page = page();
        for row in &fixture::results().rows {
            assert!(page.contains(&format!("id=\"row-{}\"", row.name)));
        }
        assert_eq!(page.matches("<details").count(), 6);
        assert_eq!(page.matches(": cumulative distribution</").count(), 0);
        assert_eq!(page.matches("Line chart: ").count(), 7);
    }

    #[test]
    fn a_steady_run_has_no_warning() {
        let mut results = fixture::results();
        assert!(render(&results, None).contains(fixture::NOISE));
        results.stability.noisy = false;
        let page = render(&results, None);
        assert!(page.contains("The run was steady."));
        assert!(!page.contains("class=\"banner\""));
    }

    #[test]
    fn only_peers_in_the_same_unit_are_on_the_page() {
        let text = text(&page());
        assert!(text.contains("Solo5 hvt") && text.contains("33.0 us"));
        assert!(!text.contains("Counted"));
    }

    #[test]
    fn provenance_and_method_are_there() {
        let text = text(&page());
        for said in [
            "6.12.0",
            "kvm_amd",
            "npt=1",
            "0xb00215a",
            "vmscape",
            "seed",
            "lfence; rdtsc",
            "rdtscp; lfence",
            "99%",
        ] {
            assert!(text.contains(said), "{said}");
        }
    }
}
