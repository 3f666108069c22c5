//! What the device did and when: each dispatch between two timestamps, and beside it what the host did.
//!
//! Tracing is a state of the [`Engine`]: from [`Engine::start_trace`] to [`Engine::finish_trace`] every program that the
//! same thread runs, through whatever it calls, is measured, so nobody above has to know of it.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Instant;

use super::{Engine, Program, Tensor, readback};
use crate::base::{DType, Error, Result, Shape};

/// What tells the time of a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// A timestamp between every two dispatches of one pass.
    InsidePasses,
    /// A pass for each dispatch, with timestamps at its boundaries.
    PassBoundaries,
    /// None: a trace then holds which programs ran, and the host alone has times.
    Host,
}

impl Clock {
    /// The finest that a device with these features has.
    pub fn offered(features: wgpu::Features) -> Self {
        if features.contains(wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES) {
            Self::InsidePasses
        } else if features.contains(wgpu::Features::TIMESTAMP_QUERY) {
            Self::PassBoundaries
        } else {
            Self::Host
        }
    }

    /// Whether a device with these features has it.
    pub fn is_offered(self, features: wgpu::Features) -> bool {
        match self {
            Self::InsidePasses => Self::offered(features) == self,
            Self::PassBoundaries => Self::offered(features) != Self::Host,
            Self::Host => true,
        }
    }

    /// Timestamps that `dispatches` take.
    fn stamps(self, dispatches: usize) -> usize {
        match self {
            Self::InsidePasses => dispatches + 1,
            Self::PassBoundaries => 2 * dispatches,
            Self::Host => 0,
        }
    }

    /// Where the two timestamps of a dispatch stand.
    fn places(self, dispatch: usize) -> [usize; 2] {
        match self {
            Self::InsidePasses => [dispatch, dispatch + 1],
            Self::PassBoundaries | Self::Host => [2 * dispatch, 2 * dispatch + 1],
        }
    }
}

/// Something the host did; times in seconds since the trace began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HostSpan {
    /// `sample`, `feed`, `record`, `submit`, `wait`.
    pub what: &'static str,
    /// When it began.
    pub start: f64,
    /// How long it took.
    pub seconds: f64,
}

/// One run of a program.
#[derive(Clone, Debug)]
pub struct Played {
    /// What ran; the dispatches are its own, replayed `spans.len() / dispatches` times.
    pub program: Program,
    /// Start and end of each dispatch, in seconds since the first timestamp of the trace; empty without timestamps.
    pub spans: Vec<[f64; 2]>,
    /// When the host began to submit it, in seconds since the trace began.
    pub submitted: f64,
}

/// What happened between [`Engine::start_trace`] and [`Engine::finish_trace`].
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// In order of their ends.
    pub host: Vec<HostSpan>,
    /// In order of submission.
    pub plays: Vec<Played>,
    /// Seconds from the beginning to the end.
    pub seconds: f64,
}

/// A trace that is being taken.
#[derive(Debug)]
pub(super) struct Tracing {
    clock: Clock,
    started: Instant,
    host: Vec<HostSpan>,
    plays: Vec<(Program, Option<Stamps>, f64)>,
}

/// Queries of one submission, and the buffer that their values go to.
#[derive(Debug)]
pub(super) struct Stamps {
    clock: Clock,
    count: usize,
    sets: Vec<wgpu::QuerySet>,
    values: Tensor,
}

/// Queries in a set: WebGPU's limit.
const SET: usize = 4096;
const BYTES: usize = 8;

impl Stamps {
    fn new(engine: &Engine, clock: Clock, dispatches: usize) -> Self {
        let count = clock.stamps(dispatches);
        let set = |first: usize| {
            engine.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("timestamps"),
                ty: wgpu::QueryType::Timestamp,
                count: (count - first).min(SET) as u32,
            })
        };
        let shape = Shape::new(&[2 * count]);
        let buffer = engine.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("timestamps"),
            size: shape.bytes(),
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let values = Tensor { buffer, offset: 0, shape, dtype: DType::U32 };
        Self { clock, count, sets: (0..count).step_by(SET).map(set).collect(), values }
    }

    /// What a pass writes at its own boundaries around dispatch `index`.
    pub fn boundaries(&self, index: usize) -> Option<wgpu::ComputePassTimestampWrites<'_>> {
        let [first, last] = self.clock.places(index);
        (self.clock == Clock::PassBoundaries).then(|| wgpu::ComputePassTimestampWrites {
            query_set: &self.sets[first / SET],
            beginning_of_pass_write_index: Some((first % SET) as u32),
            end_of_pass_write_index: Some((last % SET) as u32),
        })
    }

    /// Writes a timestamp inside a pass, before dispatch `index` and after the one before it.
    pub fn write(&self, pass: &mut wgpu::ComputePass<'_>, index: usize) {
        if self.clock == Clock::InsidePasses {
            pass.write_timestamp(&self.sets[index / SET], (index % SET) as u32);
        }
    }

    /// Sends the values to the buffer.
    pub fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        for (i, set) in self.sets.iter().enumerate() {
            let count = (self.count - i * SET).min(SET) as u32;
            encoder.resolve_query_set(set, 0..count, &self.values.buffer, (i * SET * BYTES) as u64);
        }
    }

    /// Ticks before and after each dispatch.
    fn spans(&self, ticks: &[u64]) -> Vec<[u64; 2]> {
        let dispatches = match self.clock {
            Clock::InsidePasses => self.count - 1,
            Clock::PassBoundaries | Clock::Host => self.count / 2,
        };
        (0..dispatches).map(|i| self.clock.places(i).map(|place| ticks[place])).collect()
    }
}

/// Measures until it is dropped.
#[derive(Debug)]
pub struct Span<'a> {
    engine: &'a Engine,
    what: &'static str,
    start: Instant,
}

impl Drop for Span<'_> {
    fn drop(&mut self) {
        let seconds = self.start.elapsed().as_secs_f64();
        if let Some(tracing) = self.engine.tracing().get_mut(&thread::current().id()) {
            let start = self.start.saturating_duration_since(tracing.started).as_secs_f64();
            tracing.host.push(HostSpan { what: self.what, start, seconds });
        }
    }
}

impl Engine {
    /// The traces that are being taken, one a thread.
    fn tracing(&self) -> MutexGuard<'_, HashMap<ThreadId, Tracing>> {
        self.tracing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to measure everything that this thread runs, by `clock`.
    ///
    /// # Errors
    /// When the device does not offer the clock.
    pub fn start_trace(&self, clock: Clock) -> Result<()> {
        if !clock.is_offered(self.features()) {
            return Err(Error::Device(format!("{} has no timestamps for {clock:?}", self.describe())));
        }
        let tracing = Tracing { clock, started: Instant::now(), host: Vec::new(), plays: Vec::new() };
        self.tracing().insert(thread::current().id(), tracing);
        Ok(())
    }

    /// Ends it, waits for the device and gives what was measured; nothing when no trace was begun.
    ///
    /// # Errors
    /// When the device has failed.
    pub fn finish_trace(&self) -> Result<Trace> {
        // Taken first, so that reading back is no part of it.
        let Some(tracing) = self.tracing().remove(&thread::current().id()) else { return Ok(Trace::default()) };
        let seconds = tracing.started.elapsed().as_secs_f64();
        let values: Vec<&Tensor> = tracing.plays.iter().filter_map(|(_, s, _)| Some(&s.as_ref()?.values)).collect();
        let mut ticks = readback::read_words::<u64>(self, &values)?.into_iter();
        let mut spans: Vec<Vec<[u64; 2]>> = Vec::new();
        for (_, stamps, _) in &tracing.plays {
            let own = stamps.as_ref().and_then(|stamps| Some(stamps.spans(&ticks.next()?)));
            spans.push(own.unwrap_or_default());
        }
        let first = spans.iter().flatten().map(|[start, _]| *start).min().unwrap_or(0);
        // Nanoseconds a tick.
        let period = f64::from(self.queue.get_timestamp_period()) * 1e-9;
        let seconds_at = |tick: u64| tick.saturating_sub(first) as f64 * period;
        let plays = tracing.plays.into_iter().zip(spans).map(|((program, _, submitted), spans)| Played {
            program,
            spans: spans.into_iter().map(|span| span.map(seconds_at)).collect(),
            submitted,
        });
        Ok(Trace { host: tracing.host, plays: plays.collect(), seconds })
    }

    /// A stretch of host time in the trace, if one is being taken, until the answer is dropped.
    pub fn span(&self, what: &'static str) -> Span<'_> {
        Span { engine: self, what, start: Instant::now() }
    }

    /// Queries for a submission of `dispatches`, when a trace with timestamps is being taken.
    pub(super) fn stamps(&self, dispatches: usize) -> Option<Stamps> {
        let clock = self.tracing().get(&thread::current().id())?.clock;
        (clock != Clock::Host && dispatches > 0).then(|| Stamps::new(self, clock, dispatches))
    }

    /// Notes a submission that began at `since` in the trace that is being taken.
    pub(super) fn played(&self, program: &Program, stamps: Option<Stamps>, since: Instant) {
        if let Some(tracing) = self.tracing().get_mut(&thread::current().id()) {
            let submitted = since.saturating_duration_since(tracing.started).as_secs_f64();
            tracing.plays.push((program.clone(), stamps, submitted));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finest_clock_is_taken() {
        let passes = wgpu::Features::TIMESTAMP_QUERY;
        let inside = passes | wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES;
        let none = wgpu::Features::empty();
        assert_eq!(
            [inside, passes, none].map(Clock::offered),
            [Clock::InsidePasses, Clock::PassBoundaries, Clock::Host]
        );
        assert!(Clock::PassBoundaries.is_offered(inside) && !Clock::InsidePasses.is_offered(passes));
        assert!(Clock::Host.is_offered(none) && !Clock::PassBoundaries.is_offered(none));
    }

    #[test]
    fn dispatches_find_their_timestamps() {
        assert_eq!(Clock::InsidePasses.stamps(3), 4);
        assert_eq!(Clock::InsidePasses.places(2), [2, 3]);
        assert_eq!(Clock::PassBoundaries.stamps(3), 6);
        assert_eq!(Clock::PassBoundaries.places(2), [4, 5]);
        // The two of a pass never stand in two sets.
        assert!(
            (0..3 * SET).all(|i| Clock::PassBoundaries.places(i).map(|p| p / SET).windows(2).all(|w| w[0] == w[1]))
        );
    }
}
