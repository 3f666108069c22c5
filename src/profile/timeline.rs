//! A trace as a file for Perfetto (<https://ui.perfetto.dev>) or Chrome's `about:tracing`: one lane of the host, one of the
//! device. Format: Google's Trace Event Format, complete events.

use serde_json::{Value, json};

use super::measure::{Measured, Profile};
use crate::gpu::trace::Trace;

const PROCESS: u32 = 1;
const HOST: u32 = 1;
const DEVICE: u32 = 2;

/// The events of one traced step. Host and device have clocks of their own: the device's last dispatch is put where the
/// host's last wait ended, unless the first would then come before its submission. Without timestamps, dispatches lie end to end from the submission of their program on, as
/// long as they took alone.
pub fn timeline(profile: &Profile, trace: &Trace) -> Value {
    let mut events = vec![
        name("process_name", HOST, &format!("relabel on {}", profile.adapter)),
        name("thread_name", HOST, "host"),
        name(
            "thread_name",
            DEVICE,
            if profile.timestamps { "device" } else { "device (times of replays, end to end)" },
        ),
    ];
    for span in &trace.host {
        events.push(event(span.what, "host", HOST, span.start, span.seconds, json!({})));
    }
    let waited = trace.host.iter().filter(|s| s.what == "wait").map(|s| s.start + s.seconds).fold(0.0, f64::max);
    let ended = trace.plays.iter().flat_map(|p| &p.spans).map(|[_, end]| *end).fold(0.0, f64::max);
    let submitted = trace.plays.first().map_or(0.0, |p| p.submitted);
    let shift = (waited - ended).max(submitted.min(waited));
    let mut free = 0.0f64;
    for play in &trace.plays {
        let count = play.program.len();
        let known: Vec<&Measured> = profile.dispatches.iter().filter(|d| d.program == play.program.name()).collect();
        let mut at = play.submitted.max(free);
        for i in 0..play.spans.len().max(count) {
            let dispatch = &play.program.dispatches()[i % count];
            let (start, seconds) = match play.spans.get(i) {
                Some([start, end]) => (shift + start, end - start),
                None => (at, known.get(i).map_or(0.0, |d| d.seconds)),
            };
            at = start + seconds;
            events.push(of_dispatch(&Measured::new(play.program.name(), i, dispatch), start, seconds));
        }
        free = at;
    }
    json!({ "traceEvents": events, "displayTimeUnit": "ms" })
}

fn of_dispatch(d: &Measured, start: f64, seconds: f64) -> Value {
    let rate = |amount: u64| if seconds > 0.0 { amount as f64 / seconds / 1e9 } else { 0.0 };
    let arguments = json!({
        "program": d.program,
        "kernel": d.kernel,
        "variant": d.variant,
        "shape": d.shape,
        "grid": d.grid,
        "operations": d.operations,
        "bytes": d.bytes,
        "GFLOP/s": rate(d.operations),
        "GB/s": rate(d.bytes),
    });
    event(&d.node, &d.way.to_string(), DEVICE, start, seconds, arguments)
}

fn name(what: &str, lane: u32, name: &str) -> Value {
    json!({ "name": what, "ph": "M", "pid": PROCESS, "tid": lane, "args": { "name": name } })
}

/// A complete event; times in microseconds, as the format has them.
fn event(name: &str, category: &str, lane: u32, start: f64, seconds: f64, arguments: Value) -> Value {
    json!({
        "name": name, "cat": category, "ph": "X", "pid": PROCESS, "tid": lane,
        "ts": start * 1e6, "dur": seconds.max(0.0) * 1e6, "args": arguments,
    })
}
