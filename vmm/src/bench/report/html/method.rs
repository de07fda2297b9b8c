//! How and where it was measured.

use crate::bench::report::number;
use crate::bench::result::{KvmModule, Provenance, Results, Unit};
use maud::{Markup, html};

/// The method in a few sentences, and what measuring nothing costs.
pub fn section(results: &Results) -> Markup {
    html! {
        section #method {
            h2 { "Method" }
            p {
                "The guest reads the time-stamp counter around one operation: "
                code { "lfence; rdtsc" } " before it and " code { "rdtscp; lfence" }
                " after it, so that nothing of the operation is outside and nothing else inside. "
                "Samples of the warm-up are dropped; every other sample is kept, the slow ones too. "
                "The median of the same measurement around nothing is subtracted. Rows are measured \
                 in a shuffled order, over several VMs that are built anew, so that a drift of the \
                 host or an unlucky layout of memory hits no row alone. The interval beside a median \
                 is its confidence interval at 99%, from the ranks of the samples."
            }
            @if results.unit == Unit::Instructions {
                p {
                    "On this host the time-stamp counter counts instructions, so a cost is how many \
                     of them kernel, VMM and guest execute together. What the hardware needs for the \
                     switch itself is not in it."
                }
            }
            @if !results.stability.empty.is_empty() {
                (empty(results))
            }
        }
    }
}

fn empty(results: &Results) -> Markup {
    let cost = |value| number::cost(value, results.unit);
    html! {
        h3 { "Measuring nothing" }
        div.scroll tabindex="0" role="region" aria-label="What measuring nothing costs" {
            table.figures {
                thead { tr {
                    @for heading in ["in", "n", "min", "p50", "p90", "p99", "p99.9", "max", ""] {
                        th scope="col" { (heading) }
                    }
                } }
                tbody {
                    @for empty in &results.stability.empty {
                        @let spread = &empty.spread;
                        tr {
                            th scope="row" { (empty.place) }
                            td { (number::whole(spread.n as f64)) }
                            @for value in [
                                spread.min, spread.p50, spread.p90, spread.p99, spread.p999, spread.max,
                            ] {
                                td { (cost(value)) }
                            }
                            td { @if empty.marked { "p99 is more than twice p50" } }
                        }
                    }
                }
            }
        }
    }
}

/// Where it was measured.
pub fn host(results: &Results) -> Markup {
    let from = &results.provenance;
    html! {
        section #host {
            h2 { "Host" }
            dl {
                @for (name, value) in facts(from) {
                    div { dt { (name) } dd { (value) } }
                }
                div {
                    dt { "KVM modules" }
                    dd { @for module in &from.kvm { (kvm_module(module)) } }
                }
                div {
                    dt { "mitigations" }
                    dd { ul { @for mitigation in &from.mitigations { li { (mitigation) } } } }
                }
            }
        }
    }
}

fn kvm_module(module: &KvmModule) -> Markup {
    html! {
        p { code { (module.name) } " " (module.parameters.join(" ")) }
    }
}

fn facts(from: &Provenance) -> Vec<(&'static str, String)> {
    let pinned: Vec<_> = from.pinned.iter().map(ToString::to_string).collect();
    let (before, after) = from.load;
    vec![
        ("date", from.date.clone()),
        ("paravane", format!("{} ({})", from.paravane, from.commit)),
        ("CPU", from.cpu.clone()),
        ("CPUs of the process", from.cpus.to_string()),
        (
            "vCPUs pinned to",
            match pinned.is_empty() {
                true => "no CPU".to_string(),
                false => pinned.join(", "),
            },
        ),
        ("microcode", from.microcode.clone()),
        ("kernel", from.kernel.clone()),
        ("nesting", from.nesting.clone()),
        ("governor", from.governor.clone()),
        (
            "load average",
            format!("{before} at the beginning, {after} at the end"),
        ),
        (
            "time-stamp counter",
            format!("{} Hz", number::whole(from.tsc_hz as f64)),
        ),
        ("modes that work", from.modes.join(", ")),
        ("automatic mode", from.automatic.clone()),
        ("arguments", from.arguments.join(" ")),
        ("seed of the order", from.seed.to_string()),
        ("VMs for a row and way", from.boots.to_string()),
        ("duration", format!("{:.0} s", from.seconds)),
    ]
}
