//! The roofline as a drawing (SVG): both ceilings on logarithmic axes, a dot for each kernel, its area the time it takes.

use std::fmt::Write as _;

use super::group::Group;
use super::roofline::{Binds, Roofline};

/// Width and height of the drawing, and where the axes stand in it.
const SIZE: [f64; 2] = [1200.0, 680.0];
const LEFT: f64 = 80.0;
const RIGHT: f64 = 700.0;
const TOP: f64 = 90.0;
const BOTTOM: f64 = 580.0;
/// Kernels that are numbered and named.
const NAMED: usize = 16;
/// The least share of the step's time that a kernel must have to be shown.
const LEAST: f64 = 0.001;
/// The least share of a kernel that the axes reach out for: others are shown where they lie within.
const REACHED: f64 = 0.01;
/// How many times slower than the ceiling a kernel may be for the axes to reach out for it: launches of nothing are far slower.
const SLOWEST: f64 = 1e4;
/// Pixels that a character takes at most on average, small and in the title: what is longer is cut.
const WIDE: [f64; 2] = [6.9, 10.6];
/// Area of the dot of a kernel that took the whole step.
const LARGEST: f64 = 42.0;

const STYLE: &str = "\
  svg { background: #ffffff; }
  text { font-family: ui-sans-serif, system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; font-size: 13px; fill: #1f2328; }
  .small { font-size: 12px; } .soft { fill: #59636e; } .head { font-size: 17px; font-weight: 600; }
  .paper { fill: #ffffff; } .grid { stroke: #d8dee4; stroke-width: 1; } .axis { stroke: #59636e; stroke-width: 1.2; }
  .roof { stroke: #1f2328; stroke-width: 2; fill: none; stroke-linejoin: round; }
  .fma { fill: #0969da; } .copy { fill: #bc4c00; } .dot { fill-opacity: 0.62; stroke-width: 1.2; }
  .fma.dot { stroke: #0969da; } .copy.dot { stroke: #bc4c00; }
  .number { font-size: 11px; font-weight: 600; }
  .number { paint-order: stroke; stroke: #ffffff; stroke-width: 3px; stroke-linejoin: round; }
  .lead { stroke: #59636e; stroke-width: 0.8; }
  @media (prefers-color-scheme: dark) {
    svg { background: #0d1117; }
    text { fill: #e6edf3; } .soft { fill: #9198a1; } .paper { fill: #0d1117; } .grid { stroke: #2a313c; }
    .number { stroke: #0d1117; } .axis { stroke: #9198a1; } .roof { stroke: #e6edf3; } .lead { stroke: #9198a1; }
    .fma { fill: #4493f8; } .copy { fill: #f0883e; } .fma.dot { stroke: #79c0ff; } .copy.dot { stroke: #ffb77c; }
  }";

/// A logarithmic axis over whole powers of ten or two.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn at(&self, value: f64) -> f64 {
        let part = (value / self.low).ln() / (self.high / self.low).ln();
        self.from + part.clamp(0.0, 1.0) * (self.to - self.from)
    }

    fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// Draws kernels; those without operations have no place on such axes and are listed below it, as are those that lie outside
/// them, because they hardly take time or hardly compute.
pub fn plot(title: &str, adapter: &str, kernels: &[Group], roofline: &Roofline) -> String {
    let (counted, without): (Vec<&Group>, Vec<&Group>) =
        kernels.iter().filter(|k| k.seconds > 0.0).partition(|k| k.operations > 0.0);
    let (counted, tiny): (Vec<&Group>, Vec<&Group>) = counted.into_iter().partition(|k| k.share >= LEAST);
    let [x, y] = axes(&counted, roofline);
    let (shown, outside): (Vec<&Group>, Vec<&Group>) =
        counted.into_iter().partition(|k| x.holds(k.intensity()) && y.holds(k.operations_per_s()));
    let mut svg = String::new();
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" width=\"{}\" height=\"{}\" role=\"img\">\n\
         <title>{}</title>\n<style>\n{STYLE}\n</style>\n<rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n",
        SIZE[0],
        SIZE[1],
        SIZE[0],
        SIZE[1],
        escaped(title)
    );
    let across = SIZE[0] - LEFT;
    text(&mut svg, [LEFT, 30.0], "head", &shortened(title, (across / WIDE[1]) as usize));
    text(&mut svg, [LEFT, 50.0], "small soft", &shortened(adapter, (across / WIDE[0]) as usize));
    grid(&mut svg, &x, &y);
    roof(&mut svg, &x, &y, roofline);
    dots(&mut svg, &x, &y, &shown);
    ceilings(&mut svg, roofline);
    legend(&mut svg, &shown, tiny.len());
    for (kernels, what, up) in [(outside, "outside the axes", 30.0), (without, "no operations", 12.0)] {
        if !kernels.is_empty() {
            let names: Vec<String> = kernels.iter().map(|k| format!("{} {}", k.name, percent(k.share))).collect();
            let words = format!("{what}: {}", listed(&names, (across / WIDE[0]) as usize - 20));
            text(&mut svg, [LEFT, SIZE[1] - up], "small soft", &words);
        }
    }
    svg + "</svg>\n"
}

fn axes(shown: &[&Group], roofline: &Roofline) -> [Axis; 2] {
    let mut intensity = [roofline.ridge() / 4.0, roofline.ridge() * 4.0];
    let mut rate = [roofline.operations_per_s / 100.0, roofline.operations_per_s];
    for k in shown.iter().filter(|k| k.share >= REACHED) {
        intensity = [intensity[0].min(k.intensity()), intensity[1].max(k.intensity())];
        let slow = k.operations_per_s().max(roofline.operations_per_s / SLOWEST);
        rate = [rate[0].min(slow), rate[1].max(k.operations_per_s())];
    }
    let below = |v: f64| 10f64.powf(v.log10().floor());
    let x = Axis {
        low: 2f64.powf((intensity[0] / 1.4).log2().floor()),
        high: 2f64.powf((intensity[1] * 1.4).log2().ceil()),
        from: LEFT,
        to: RIGHT,
    };
    let y = Axis { low: below(rate[0]), high: rate[1] * 2.0, from: BOTTOM, to: TOP };
    [x, y]
}

fn grid(svg: &mut String, x: &Axis, y: &Axis) {
    let octaves = (x.high / x.low).log2().round() as i32;
    // At most a dozen labels.
    let every = (octaves / 10).max(0) + 1;
    for i in (0..=octaves).step_by(every as usize) {
        let value = x.low * 2f64.powi(i);
        let at = x.at(value);
        line(svg, "grid", [at, TOP], [at, BOTTOM]);
        middle(svg, [at, BOTTOM + 18.0], "small", &number(value));
    }
    let mut value = y.low;
    while value <= y.high {
        let at = y.at(value);
        line(svg, "grid", [LEFT, at], [RIGHT, at]);
        let _ = writeln!(
            svg,
            "<text class=\"small\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            at + 4.0,
            number(value / 1e9)
        );
        value *= 10.0;
    }
    line(svg, "axis", [LEFT, BOTTOM], [RIGHT, BOTTOM]);
    line(svg, "axis", [LEFT, TOP], [LEFT, BOTTOM]);
    middle(svg, [(LEFT + RIGHT) / 2.0, BOTTOM + 40.0], "", "operations per byte");
    let at = (TOP + BOTTOM) / 2.0;
    let _ =
        writeln!(svg, "<text transform=\"translate(22 {at:.1}) rotate(-90)\" text-anchor=\"middle\">GFLOP/s</text>");
}

fn roof(svg: &mut String, x: &Axis, y: &Axis, roofline: &Roofline) {
    // Where the slope enters the drawing: on the left, or from below.
    let first = x.low.max(y.low / roofline.bytes_per_s);
    let points: Vec<String> = [first, roofline.ridge().clamp(first, x.high), x.high]
        .iter()
        .map(|&i| format!("{:.1},{:.1}", x.at(i), y.at(roofline.attainable(i))))
        .collect();
    let _ = writeln!(svg, "<polyline class=\"roof\" points=\"{}\"/>", points.join(" "));
}

/// What the two lines stand for: above the drawing, where no dot is.
fn ceilings(svg: &mut String, roofline: &Roofline) {
    let flat = format!("multiply-adds {} GFLOP/s (flat)", number(roofline.operations_per_s / 1e9));
    let slope = format!("copy {} GB/s (slope)", number(roofline.bytes_per_s / 1e9));
    text(svg, [LEFT, TOP - 12.0], "small", &format!("ceilings: {flat}, {slope}"));
}

fn colour(binds: Binds) -> &'static str {
    match binds {
        Binds::Operations => "fma",
        Binds::Bytes => "copy",
    }
}

/// Largest first, so that small dots stay in sight; then the numbers of the named ones, inside their dots or beside them.
fn dots(svg: &mut String, x: &Axis, y: &Axis, shown: &[&Group]) {
    let circles: Vec<[f64; 3]> = shown
        .iter()
        .map(|k| [x.at(k.intensity()), y.at(k.operations_per_s()), (LARGEST * k.share.sqrt()).max(3.0)])
        .collect();
    for (k, [cx, cy, r]) in shown.iter().zip(&circles) {
        let _ = writeln!(
            svg,
            "<circle class=\"{} dot\" cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"{r:.1}\"><title>{}: {} of the step, {} GFLOP/s, {} GB/s</title></circle>",
            colour(k.binds),
            escaped(&k.name),
            percent(k.share),
            number(k.operations_per_s() / 1e9),
            number(k.bytes_per_s() / 1e9)
        );
    }
    let mut taken: Vec<[f64; 2]> = Vec::new();
    for i in 0..circles.len().min(NAMED) {
        let [cx, cy, r] = circles[i];
        let place = free_place(&circles, i, &taken).unwrap_or([cx, cy]);
        let distance = (place[0] - cx).hypot(place[1] - cy);
        if distance > r + 14.0 {
            let [near, far] = [r / distance, (distance - 9.0) / distance];
            let along = |part: f64| [cx + part * (place[0] - cx), cy + part * (place[1] - cy)];
            line(svg, "lead", along(near), along(far));
        }
        taken.push(place);
        middle(svg, [place[0], place[1] + 4.0], "number", &(i + 1).to_string());
    }
}

/// The first free place for the number of circle `own`: its middle if it is large, else around it, ever further out.
fn free_place(circles: &[[f64; 3]], own: usize, taken: &[[f64; 2]]) -> Option<[f64; 2]> {
    let [cx, cy, r] = circles[own];
    let turns = [0.0f64, 45.0, -45.0, 90.0, -90.0, 135.0, -135.0, 180.0];
    let around = [9.0, 20.0, 32.0, 46.0, 62.0].into_iter().flat_map(|away| {
        turns.map(|t| [cx + (r + away) * t.to_radians().cos(), cy - (r + away) * t.to_radians().sin()])
    });
    let middle = (r >= 10.0).then_some([cx, cy]);
    let inside = |p: &[f64; 2]| p[0] > LEFT + 8.0 && p[0] < RIGHT - 8.0 && p[1] > TOP + 6.0 && p[1] < BOTTOM - 8.0;
    let free = |p: &[f64; 2]| {
        let mut others = circles.iter().enumerate().filter(|(i, _)| *i != own);
        taken.iter().all(|t| (t[0] - p[0]).abs() > 16.0 || (t[1] - p[1]).abs() > 13.0)
            && others.all(|(_, [x, y, r])| (x - p[0]).hypot(y - p[1]) > r + 6.0)
    };
    middle.into_iter().chain(around).find(|p| inside(p) && free(p))
}

fn legend(svg: &mut String, shown: &[&Group], tiny: usize) {
    let left = RIGHT + 30.0;
    for (at, binds, what) in [(0.0, Binds::Operations, "multiply-adds bind"), (150.0, Binds::Bytes, "memory binds")] {
        let (class, x, y) = (colour(binds), left + 6.0 + at, TOP + 2.0);
        let _ = writeln!(svg, "<circle class=\"{class} dot\" cx=\"{x}\" cy=\"{y}\" r=\"6\"/>");
        text(svg, [left + 18.0 + at, TOP + 6.0], "small", what);
    }
    let ends = [SIZE[0] - 66.0, SIZE[0] - 14.0];
    // Up to the percents, which take the width of "of step".
    let most = ((ends[0] - 48.0 - left) / WIDE[0]) as usize;
    text(svg, [left, TOP + 34.0], "small soft", "kernel");
    end(svg, [ends[0], TOP + 34.0], "of step");
    end(svg, [ends[1], TOP + 34.0], "of roof");
    for (i, k) in shown.iter().take(NAMED).enumerate() {
        let y = TOP + 56.0 + 25.0 * i as f64;
        text(svg, [left, y], "small", &shortened(&format!("{}  {}", i + 1, k.name), most));
        end(svg, [ends[0], y], &percent(k.share));
        end(svg, [ends[1], y], &percent(k.of_roof()));
    }
    let unnamed = shown.len().saturating_sub(NAMED);
    let y = TOP + 56.0 + 25.0 * shown.len().min(NAMED) as f64;
    let mut rest = Vec::new();
    if unnamed > 0 {
        rest.push(format!("{unnamed} without a number"));
    }
    if tiny > 0 {
        rest.push(format!("{tiny} below {} not shown", percent(LEAST)));
    }
    text(svg, [left, y], "small soft", &rest.join(", "));
}

/// As many of `names` as `most` characters hold.
fn listed(names: &[String], most: usize) -> String {
    let mut text = String::new();
    for (i, name) in names.iter().enumerate() {
        let next = if i == 0 { name.clone() } else { format!("{text}, {name}") };
        if i > 0 && next.chars().count() > most {
            return text + ", …";
        }
        text = next;
    }
    text
}

/// At most `most` characters; what is too much goes from the middle, since the variant is at a name's end.
fn shortened(name: &str, most: usize) -> String {
    let all: Vec<char> = name.chars().collect();
    if all.len() <= most {
        return name.to_owned();
    }
    let (head, tail) = (most / 2, (most - 1) / 2);
    all[..head].iter().chain(&['…']).chain(&all[all.len() - tail..]).collect()
}

fn percent(share: f64) -> String {
    if (0.0..0.0095).contains(&share) { format!("{:.1} %", 100.0 * share) } else { format!("{:.0} %", 100.0 * share) }
}

/// Three digits, without the zeros that say nothing.
fn number(value: f64) -> String {
    if value <= 0.0 || !value.is_finite() {
        return "0".into();
    }
    let digits = (2 - value.log10().floor() as i32).clamp(0, 9) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn line(svg: &mut String, class: &str, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2]) {
    let _ = writeln!(svg, "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>");
}

fn text(svg: &mut String, [x, y]: [f64; 2], class: &str, words: &str) {
    let _ = writeln!(svg, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(words));
}

fn end(svg: &mut String, [x, y]: [f64; 2], words: &str) {
    let words = escaped(words);
    let _ = writeln!(svg, "<text class=\"small soft\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\">{words}</text>");
}

fn middle(svg: &mut String, [x, y]: [f64; 2], class: &str, words: &str) {
    let words = escaped(words);
    let _ = writeln!(svg, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{words}</text>");
}

fn escaped(words: &str) -> String {
    // XML has no control characters.
    let words: String = words.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(name: &str, operations: f64, bytes: f64, seconds: f64) -> Group {
        let floor = (operations / 100e9).max(bytes / 10e9);
        Group {
            name: name.into(),
            dispatches: 1.0,
            seconds,
            ways: [seconds, 0.0, 0.0, 0.0],
            share: seconds,
            operations,
            bytes,
            of_operations: 0.0,
            of_bytes: 0.0,
            floor,
            binds: if operations / bytes > 10.0 { Binds::Operations } else { Binds::Bytes },
        }
    }

    /// The attribute of the first element of a class.
    fn attributes(svg: &str, element: &str, name: &str) -> Vec<f64> {
        let of = |line: &str| line.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?.parse().ok();
        svg.lines().filter(|l| l.starts_with(&format!("<{element} class"))).filter_map(of).collect()
    }

    #[test]
    fn dots_stand_where_their_numbers_say() {
        let roofline = Roofline { operations_per_s: 100e9, bytes_per_s: 10e9 };
        let kernels =
            [kernel("a<b>", 50e9, 1e9, 0.64), kernel("slow", 1e9, 1e9, 0.16), kernel("copies", 0.0, 1e9, 0.2)];
        let svg = plot("t & u", "an adapter", &kernels, &roofline);
        assert!(svg.contains("t &amp; u") && svg.contains("a&lt;b&gt;") && !svg.contains("a<b>"));
        assert!(svg.contains("no operations: copies 20 %"));
        let (cx, cy, r) =
            (attributes(&svg, "circle", "cx"), attributes(&svg, "circle", "cy"), attributes(&svg, "circle", "r"));
        // Two kernels, and two dots of the legend.
        assert_eq!(r.len(), 4);
        assert!((r[0] / r[1] - 2.0).abs() < 0.01, "areas are times: {r:?}");
        assert!(cx[0] > cx[1] && cy[0] < cy[1], "more intense and faster: right and above");
        assert!(
            cx.iter().take(2).all(|&x| (LEFT..=RIGHT).contains(&x))
                && cy.iter().take(2).all(|&y| (TOP..=BOTTOM).contains(&y))
        );
        let [x, y] = axes(&[&kernels[0], &kernels[1]], &roofline);
        assert!((cx[0] - x.at(50.0)).abs() < 0.06 && (cy[0] - y.at(50e9 / 0.64)).abs() < 0.06);
        assert!(svg.contains("100 GFLOP/s") && svg.contains("10 GB/s"));
    }

    #[test]
    fn dots_of_hardly_any_time_do_not_stretch_the_axes() {
        let roofline = Roofline { operations_per_s: 100e9, bytes_per_s: 10e9 };
        let large = kernel("large", 50e9, 1e9, 0.9);
        // 1000 operations a second, at 1/2^20 of an operation a byte, and one that lies within.
        let (far, near) = (kernel("far", 5.0, 5e6, 0.005), kernel("near", 0.25e9, 5e6, 0.005));
        let without = plot("t", "an adapter", std::slice::from_ref(&large), &roofline);
        let slow = kernel("slow", 1e5, 2e4, 0.09);
        let with = plot("t", "an adapter", &[large, far, near, slow], &roofline);
        let at = |svg: &str| [attributes(svg, "circle", "cx")[0], attributes(svg, "circle", "cy")[0]];
        let [x, y] = at(&without);
        assert_eq!(at(&with)[0], x, "no kernel that hardly takes time stretches the axes");
        assert!(at(&with)[1] < y, "one that takes time does, four decades down");
        assert!(with.contains("outside the axes: far 0.5 %, slow 9 %") && with.contains(">2  near<"), "{with}");
        assert!(!without.contains("outside"));
    }

    #[test]
    fn words_stay_within_their_place() {
        let roofline = Roofline { operations_per_s: 100e9, bytes_per_s: 10e9 };
        let long = "long ".repeat(60);
        let mut kernels = vec![kernel(&long, 50e9, 1e9, 0.5)];
        kernels.extend((0..9).map(|i| kernel(&format!("copy number {i} with a long name"), 0.0, 1e9, 0.05)));
        let svg = plot(&long, &long, &kernels, &roofline);
        for line in svg.lines().filter(|line| line.starts_with("<text class")) {
            let words = line.split_once('>').expect("an element").1.trim_end_matches("</text>");
            let from: f64 = line.split("x=\"").nth(1).and_then(|rest| rest.split('"').next()?.parse().ok()).expect("x");
            let wide = if line.contains("\"head\"") { WIDE[1] } else { WIDE[0] };
            let anchored = line.contains("text-anchor");
            assert!(anchored || from + wide * words.chars().count() as f64 <= SIZE[0] + 20.0, "{line}");
        }
        assert!(svg.contains("<title>long long"), "once, as it is");
        let names = ["ab", "cd", "ef"].map(String::from);
        assert_eq!([3, 7, 20].map(|most| listed(&names, most)), ["ab, …", "ab, cd, …", "ab, cd, ef"]);
    }

    #[test]
    fn long_names_lose_their_middle_and_control_characters_are_replaced() {
        assert_eq!(shortened("conv2d (8)", 10), "conv2d (8)");
        assert_eq!(shortened("conv2d_subgroup (8)", 10), "conv2… (8)");
        assert_eq!(escaped("a\u{1}<b"), "a\u{fffd}&lt;b");
    }

    #[test]
    fn axes_are_logarithmic() {
        let axis = Axis { low: 1.0, high: 100.0, from: 0.0, to: 10.0 };
        assert_eq!([0.1, 1.0, 10.0, 100.0].map(|v| axis.at(v)), [0.0, 0.0, 5.0, 10.0]);
        assert_eq!([0.015625, 2.0, 141.4, 1234.0, 0.0].map(number), ["0.0156", "2", "141", "1234", "0"]);
    }
}
