use paravane::bench::{*, host::Host, watch::Watch, rows::*, raw::measure, chunk::Outcome};
use std::time::Duration;
fn main(){
  let n: u64 = std::env::args().nth(1).map_or(200, |a| a.parse().unwrap());
  let f = std::env::args().nth(2).unwrap_or_default();
  let watch = Watch::new(Default::default(), Duration::from_secs(20));
  let host = Host::examine(std::path::Path::new("/dev/kvm"), &watch).unwrap();
  println!("{:?} {:?} {} {:?}", host.hardware, host.clock, host.tsc_hz, host.modes);
  for (_, row) in all() {
    if !row.name.contains(&f) { continue }
    let Native::Code(i) = &row.native else { continue };
    let show = |what: &str, o: Result<Outcome,String>| match o {
      Ok(Outcome::Measured(mut c)) => { c.ticks.sort(); c.empty.sort(); let m=c.ticks[c.ticks.len()/2]; let e=c.empty[c.empty.len()/2];
         println!("{:20} {what:8} {:>9.0} ns  (empty {:>7} ticks, p99 {:>7})  kvm {:?} vmm {} traps {} {:?}", row.name, (m as f64-e as f64)*1e9/host.tsc_hz as f64, e, c.empty[c.empty.len()*99/100], c.kvm, c.vmm, c.traps, c.answer); }
      o => println!("{:20} {what:8} {o:?}", row.name),
    };
    show("native", measure::native(&host, i, n, &watch));
    show("trap", measure::trapped(&host, i, &row.trap, n, &watch));
  }
}
