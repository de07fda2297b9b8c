//! The guest's own measurements: those that do not depend on time.

use super::Once;
use crate::figures::guest::{self, Figure};

pub(super) const ONCE: &[Once] = &[
    (
        "many_pages_are_mapped_in_few_exits",
        many_pages_are_mapped_in_few_exits,
    ),
    ("times_are_measured", times_are_measured),
];

fn figure<'a>(figures: &'a [Figure], name: &str) -> &'a Figure {
    let found = figures.iter().find(|figure| figure.name == name);
    found.unwrap_or_else(|| panic!("no {name} among {figures:?}"))
}

fn many_pages_are_mapped_in_few_exits() {
    let figures = guest::measure("mapping").expect("it can be measured");
    let exits = |name: &str| {
        let spread = &figure(&figures, &format!("{name}_exits")).spread;
        (spread.quantile(0.0), spread.quantile(1.0))
    };
    assert_eq!(exits("map_512_as_one_range"), (1.0, 1.0));
    assert_eq!(exits("map_512_by_single_calls"), (512.0, 512.0));
    assert_eq!(exits("map_512_by_page_faults"), (512.0, 512.0));
    // How often a repeated call comes back depends on how fast it is, but it does work meanwhile.
    let (least, most) = exits("map_512_by_one_call");
    assert!(1.0 <= least && most <= 256.0, "{least} to {most}");
}

fn times_are_measured() {
    let figures = guest::measure("clock,upcalls").expect("it can be measured");
    for name in ["clock_read", "upcall_mask_unmask", "upcall_masked_scope"] {
        let figure = figure(&figures, name);
        assert_eq!(figure.unit, "ps");
        assert_eq!(figure.spread.len(), 1000);
        assert!(figure.spread.quantile(0.0) > 0.0, "{name}");
    }
}
