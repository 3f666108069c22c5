//! Progress of a run on stderr: a bar on a terminal, else plain lines.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output;
use crate::base::Result;
use crate::train::events::{Evaluated, Event, Finished, Relabelled, Sink, Started, Step};

/// Seconds between two plain lines about training.
const LINE_SECONDS: f64 = 10.0;

/// The display that fits stderr.
pub fn progress() -> Box<dyn Sink> {
    if io::stderr().is_terminal() { Box::new(Bar::new()) } else { Box::new(Lines::new(io::stderr(), LINE_SECONDS)) }
}

/// What both displays know of the run.
#[derive(Clone, Debug, Default)]
struct Run {
    batch: usize,
    total: u64,
    labels: String,
    /// Step and seconds of the first report: what came before may have been no training.
    origin: Option<(u64, f64)>,
}

impl Run {
    fn new(started: &Started) -> Self {
        Self { batch: started.batch, total: started.total_steps, ..Self::default() }
    }

    /// Seconds that are left when the rest goes as fast as this session did since its first report.
    fn seconds_left(&mut self, step: &Step) -> f64 {
        let (first, seconds) = *self.origin.get_or_insert((step.step, step.seconds));
        let each = match step.step.saturating_sub(first) {
            0 => self.batch as f64 / step.images_per_second,
            done => (step.seconds - seconds) / done as f64,
        };
        each * self.total.saturating_sub(step.step) as f64
    }

    fn step_text(&mut self, step: &Step) -> String {
        let left = duration(self.seconds_left(step));
        format!(
            "loss {:.4}  accuracy {:.1} %  lr {:.3e}  {:.0} images/s{}  {left} left",
            step.loss,
            100.0 * step.accuracy,
            step.lr,
            step.images_per_second,
            self.labels,
        )
    }

    /// Keeps the last label update for the lines about training; says so when the assignment was cut short.
    fn relabelled(&mut self, labels: &Relabelled) -> Option<String> {
        let Relabelled { update, head, changed, iterations, marginal_error, .. } = labels;
        self.labels = format!("  labels {update} (head {head}): {:.1} % new", 100.0 * changed);
        (!labels.converged).then(|| {
            format!(
                "label update {update}, head {head}: after {iterations} iterations a cluster's mass is still off by \
                 {:.2} %; raise sela.iterations or lower sela.lambda",
                100.0 * marginal_error
            )
        })
    }
}

fn started_text(started: &Started) -> String {
    let Started { method, model, batch, train_images, .. } = started;
    let mut text = format!("{method}: {model}, {} parameters, on {}\n", started.parameters, started.adapter);
    let memory = output::bytes(started.memory);
    text += &format!(
        "{train_images} training images, {batch} a step, {} steps, {memory} on the device",
        started.total_steps
    );
    if started.first_step > 0 {
        text += &format!("\ngoing on after step {}", started.first_step);
    }
    text
}

fn evaluated_text(evaluated: &Evaluated) -> String {
    let value = |(name, value): (&str, f64)| match name.ends_with("accuracy") {
        true => format!("{name} {:.2} %", 100.0 * value),
        false => format!("{name} {value:.4}"),
    };
    let values: Vec<String> = evaluated.metrics.iter().map(value).collect();
    let Evaluated { step, split, images, seconds, .. } = evaluated;
    format!("step {step}  {split}: {}  ({images} images, {seconds:.1} s)", values.join("  "))
}

fn finished_text(finished: &Finished) -> String {
    let state = if finished.complete { "done" } else { "stopped" };
    format!("{state} after step {}, {}", finished.step, duration(finished.seconds))
}

/// A length of time as people say it: `45 s`, `12 min 5 s`, `3 h 20 min`.
fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "unknown time".into();
    }
    let s = seconds.round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s / 60 % 60),
    }
}

/// A progress bar, with evaluations as lines above it.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
    run: Run,
}

impl Bar {
    /// A bar on stderr.
    pub fn new() -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}\n{msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, run: Run::default() }
    }
}

impl Default for Bar {
    fn default() -> Self {
        Self::new()
    }
}

impl Sink for Bar {
    fn event(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Started(started) => {
                self.run = Run::new(started);
                self.bar.println(started_text(started));
                self.bar.set_length(started.total_steps);
                self.bar.set_position(started.first_step);
            }
            Event::Step(step) => {
                self.bar.set_message(self.run.step_text(step));
                self.bar.set_position(step.step);
            }
            Event::Relabelled(labels) => {
                if let Some(text) = self.run.relabelled(labels) {
                    self.bar.println(text);
                }
            }
            Event::Evaluated(evaluated) => self.bar.println(evaluated_text(evaluated)),
            Event::Note(text) => self.bar.println(text),
            Event::Saved(_) => {}
            Event::Finished(finished) => {
                self.bar.finish_and_clear();
                output::tell(&finished_text(finished));
            }
        }
        Ok(())
    }
}

/// Plain lines; those about training come at most every few seconds.
#[derive(Debug)]
pub struct Lines<W> {
    out: W,
    every: f64,
    next: f64,
    run: Run,
}

impl<W: Write> Lines<W> {
    /// Lines to `out`, those about training at least `every` seconds apart.
    pub fn new(out: W, every: f64) -> Self {
        Self { out, every, next: 0.0, run: Run::default() }
    }

    /// A display that nobody reads any more is no reason to stop a run.
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}");
    }
}

impl<W: Write> Sink for Lines<W> {
    fn event(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Started(started) => {
                self.run = Run::new(started);
                self.next = 0.0;
                self.line(&started_text(started));
            }
            Event::Step(step) if step.seconds >= self.next || step.step == self.run.total => {
                self.next = step.seconds + self.every;
                let text = self.run.step_text(step);
                self.line(&format!("step {}/{}  {text}", step.step, self.run.total));
            }
            Event::Step(_) | Event::Saved(_) => {}
            Event::Relabelled(labels) => {
                if let Some(text) = self.run.relabelled(labels) {
                    self.line(&text);
                }
            }
            Event::Evaluated(evaluated) => self.line(&evaluated_text(evaluated)),
            Event::Note(text) => self.line(text),
            Event::Finished(finished) => self.line(&finished_text(finished)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::events::Metrics;

    fn started() -> Event {
        Event::Started(Started {
            method: "sla".into(),
            model: "resnet32".into(),
            parameters: 466_104,
            adapter: "llvmpipe".into(),
            first_step: 100,
            total_steps: 1000,
            batch: 128,
            train_images: 45_000,
            memory: 3 << 20,
        })
    }

    fn step(step: u64, seconds: f64) -> Event {
        Event::Step(Step {
            step,
            epoch: 0.5,
            loss: 1.25,
            accuracy: 0.456,
            lr: 0.1,
            images_per_second: 310.4,
            seconds,
            metrics: Metrics::default(),
        })
    }

    #[test]
    fn plain_lines_are_few() {
        let mut text = Vec::new();
        let mut lines = Lines::new(&mut text, 10.0);
        let metrics = [("single_accuracy", 0.8125), ("loss", 0.5)].into_iter().collect();
        let split = "test".to_string();
        let evaluated = Evaluated { step: 400, epoch: 1.0, split, images: 10, seconds: 1.0, metrics };
        lines.event(&started()).unwrap();
        for (number, seconds) in [(150, 5.0), (200, 10.0), (250, 14.9), (300, 15.0), (1000, 16.0)] {
            lines.event(&step(number, seconds)).unwrap();
        }
        lines.event(&Event::Evaluated(evaluated)).unwrap();
        lines.event(&Event::Finished(Finished { step: 1000, seconds: 3725.0, complete: true })).unwrap();
        let text = String::from_utf8(text).unwrap();
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows[0], "sla: resnet32, 466104 parameters, on llvmpipe");
        assert_eq!(rows[1], "45000 training images, 128 a step, 1000 steps, 3.0 MiB on the device");
        assert_eq!(rows[2], "going on after step 100");
        // 850 steps of 128 images at 310 images a second: what came before the first step was no training.
        assert_eq!(rows[3], "step 150/1000  loss 1.2500  accuracy 45.6 %  lr 1.000e-1  310 images/s  5 min 51 s left");
        // 150 steps took 10 s since, so 700 take 47.
        assert!(rows[4].starts_with("step 300/1000") && rows[4].ends_with("  47 s left"), "{text}");
        assert!(rows[5].starts_with("step 1000/1000"), "{text}");
        assert_eq!(rows[6], "step 400  test: single_accuracy 81.25 %  loss 0.5000  (10 images, 1.0 s)");
        assert_eq!(rows[7], "done after step 1000, 1 h 2 min");
        assert_eq!(rows.len(), 8);
    }

    #[test]
    fn a_display_that_is_gone_is_no_error() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        Lines::new(Gone, 0.0).event(&started()).unwrap();
    }

    #[test]
    fn times_in_words() {
        for (seconds, text) in [(0.4, "0 s"), (59.4, "59 s"), (725.0, "12 min 5 s"), (12_000.0, "3 h 20 min")] {
            assert_eq!(duration(seconds), text);
        }
        assert_eq!(duration(f64::INFINITY), "unknown time");
    }
}
