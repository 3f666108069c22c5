//! Sums of the partial results of several split products in one dispatch, in place of `sum_parts` after each of them.

use super::{Case, Kernel, params, shared, sum_parts};
use crate::base::compare::Tolerance;
use crate::base::{Array, DType, Result, Shape};
use crate::gpu::recording::grid;
use crate::gpu::{Cost, Dispatch, Engine, Recording, Shader, Tensor, Variant, read, read_write};

params! {
    /// Uniforms of `sum_part_lists.wgsl`.
    pub struct Params {
        /// Workgroups: rows of the list.
        pub groups: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "sum_part_lists",
    source: include_str!("../../shaders/reduce/sum_part_lists.wgsl"),
    shared: &[shared::PARTS],
    params: size_of::<Params>(),
    bindings: &[read("part"), read("list"), read_write("out")],
    // As sum_parts': with as many shares, sums are the same bits.
    variants: &[Variant::base("256/16", &[("WIDTH", 256.0), ("SHARES", 16.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Bytes of the parts that wait for their sum: what stays in a large GPU's cache with what is read and written between.
const WAITING: u64 = 32 << 20;
/// Numbers of a row of the list.
const ROW: usize = 5;
/// Outputs of a workgroup, in vectors of 4.
const ACROSS: usize = 16;

/// A product's place among its fellows, in vectors of 4.
#[derive(Clone, Copy, Debug)]
struct Item {
    from: usize,
    to: usize,
    count: usize,
    parts: usize,
}

/// The list of the workgroups.
fn list(items: &[Item]) -> Vec<u32> {
    let rows = items.iter().flat_map(|item| {
        (0..item.count).step_by(ACROSS).map(move |i| {
            let outputs = ACROSS.min(item.count - i);
            [item.from + i, item.to + i, outputs, item.count, item.parts].map(|v| v as u32)
        })
    });
    rows.flatten().collect()
}

/// Records the sums of what `list` (rows of [`ROW`] numbers) says of `part`.
fn record(recording: &mut Recording, part: &Tensor, list: &Tensor, out: &Tensor, cost: Cost) -> Result<()> {
    let groups = list.shape.elements() / ROW;
    let p = Params { groups: groups as u32 };
    recording.dispatch(&SHADER, p, &[part, list, out], grid(groups, 1), cost)
}

/// A product whose sum waits.
struct Waiting {
    /// Its dispatch among those that were made.
    made: usize,
    part: Tensor,
    offset: u64,
    out: Tensor,
    cost: Cost,
}

impl Waiting {
    fn item(&self) -> Item {
        let count = self.out.shape.physical() / 4;
        let [from, to] = [self.offset, self.out.offset].map(|bytes| (bytes / 16) as usize);
        Item { from, to, count, parts: self.part.shape.physical() / (4 * count) }
    }
}

/// Lets `sum_parts` of several products wait for one another, where a recording has it in the form whose lanes share parts: their parts
/// get a buffer of their own. Sums are the same bits. Gives the bytes of what was allocated.
///
/// # Errors
/// When memory does not suffice.
pub fn collect(engine: &Engine, recording: &mut Recording) -> Result<u64> {
    if recording.variant(&sum_parts::SHADER).sets("SHARES") != recording.variant(&SHADER).sets("SHARES") {
        return Ok(0);
    }
    let all = std::mem::take(&mut recording.dispatches);
    let mut lists =
        Lists { made: Vec::with_capacity(all.len()), waiting: Vec::new(), used: 0, most: 0, flushed: Vec::new() };
    let mut rest = all.as_slice();
    while let Some(next) = rest.first() {
        if let [product, sum, ..] = rest
            && let Some(waiting) = lists.pair(product, sum)
        {
            lists.add(product, waiting);
            rest = &rest[2..];
        } else {
            lists.pass(next);
            rest = &rest[1..];
        }
    }
    lists.flush();
    lists.finish(engine, recording)
}

struct Lists {
    made: Vec<Option<Dispatch>>,
    waiting: Vec<Waiting>,
    /// Bytes of the parts that wait.
    used: u64,
    most: u64,
    /// Where sums come, and which.
    flushed: Vec<(usize, Vec<Waiting>)>,
}

/// Whether two tensors have bytes in common.
fn overlap(a: &Tensor, b: &Tensor) -> bool {
    a.buffer == b.buffer && a.offset < b.offset + b.bytes() && b.offset < a.offset + a.bytes()
}

impl Lists {
    /// What will wait, if a product's parts are added right after it, all in float32.
    fn pair(&self, product: &Dispatch, sum: &Dispatch) -> Option<Waiting> {
        if sum.shader.name != sum_parts::SHADER.name {
            return None;
        }
        let (part, out) = (&sum.tensors[0], &sum.tensors[1]);
        let written = product.tensors.last()?;
        let same = written.buffer == part.buffer && written.offset == part.offset && written.bytes() == part.bytes();
        let once = product.tensors.iter().filter(|t| t.buffer == part.buffer).count() == 1;
        let floats = part.dtype == DType::F32 && out.dtype == DType::F32;
        (same && once && floats && part.bytes() <= WAITING).then(|| Waiting {
            made: 0,
            part: part.clone(),
            offset: 0,
            out: out.clone(),
            cost: sum.cost,
        })
    }

    fn add(&mut self, product: &Dispatch, mut waiting: Waiting) {
        let bytes = waiting.part.bytes().next_multiple_of(256);
        let other = self.waiting.first().is_some_and(|first| first.out.buffer != waiting.out.buffer);
        if other || self.used + bytes > WAITING || self.touched(product) {
            self.flush();
        }
        waiting.made = self.made.len();
        waiting.offset = self.used;
        self.used += bytes;
        self.most = self.most.max(self.used);
        self.made.push(Some(product.clone()));
        self.waiting.push(waiting);
    }

    fn pass(&mut self, dispatch: &Dispatch) {
        if self.touched(dispatch) {
            self.flush();
        }
        self.made.push(Some(dispatch.clone()));
    }

    /// Whether a dispatch has to do with what waits.
    fn touched(&self, dispatch: &Dispatch) -> bool {
        dispatch.tensors.iter().any(|t| self.waiting.iter().any(|w| overlap(t, &w.out)))
    }

    fn flush(&mut self) {
        if !self.waiting.is_empty() {
            self.flushed.push((self.made.len(), std::mem::take(&mut self.waiting)));
            self.made.push(None);
            self.used = 0;
        }
    }

    /// The dispatches, with buffers.
    fn finish(mut self, engine: &Engine, recording: &mut Recording) -> Result<u64> {
        if self.flushed.is_empty() {
            recording.dispatches = self.made.into_iter().flatten().collect();
            return Ok(0);
        }
        let parts = engine.tensor("parts of sums", Shape::new(&[(self.most / 4) as usize]), DType::F32)?;
        let mut bytes = parts.bytes();
        for (place, waiting) in std::mem::take(&mut self.flushed) {
            for w in &waiting {
                let product = self.made[w.made].as_mut().expect("a product");
                if let Some(written) = product.tensors.last_mut() {
                    *written = Tensor { buffer: parts.buffer.clone(), offset: w.offset, ..w.part.clone() };
                }
            }
            let items: Vec<Item> = waiting.iter().map(Waiting::item).collect();
            let numbers = list(&items);
            let list = engine.tensor("lists of parts", Shape::new(&[numbers.len()]), DType::U32)?;
            engine.write(&list, &numbers);
            bytes += list.bytes();
            let end = items.iter().map(|item| 4 * (item.to + item.count)).max().unwrap_or(0);
            let out = Tensor { offset: 0, shape: Shape::new(&[end]), ..waiting[0].out.clone() };
            recording.label("sums of parts");
            record(recording, &parts, &list, &out, waiting.iter().map(|w| w.cost).sum())?;
            self.made[place] = recording.dispatches.pop();
        }
        recording.dispatches = self.made.into_iter().flatten().collect();
        Ok(bytes)
    }
}

/// The twin: each item's outputs, the others as before.
fn reference(part: &Array, items: &[Item], out: &Array) -> Array {
    let mut all = out.clone();
    for item in items {
        for i in 0..4 * item.count {
            all.data[4 * item.to + i] = (0..item.parts).map(|g| part.data[4 * (item.from + g * item.count) + i]).sum();
        }
    }
    all
}

/// One product, several of odd numbers of outputs and parts with space between, more outputs than lanes; those that nobody names stay.
fn cases() -> Vec<Case> {
    let lists: [&[[usize; 2]]; 3] = [&[[1, 1]], &[[5, 3], [17, 16], [1, 70]], &[[144, 37], [36, 132], [300, 2]]];
    let one = |sizes: &[[usize; 2]]| {
        let (mut from, mut to) = (2, 1);
        let items: Vec<Item> = sizes
            .iter()
            .map(|&[count, parts]| {
                let item = Item { from, to, count, parts };
                from += count * parts + 3;
                to += count + 2;
                item
            })
            .collect();
        let part = Array::normal(&[4 * from], 1.0, 5);
        let before = Array::normal(&[4 * to], 1.0, 6);
        let expected = reference(&part, &items, &before);
        let numbers: Vec<f64> = list(&items).into_iter().map(f64::from).collect();
        let inputs = vec![part, Array::new(&[numbers.len()], numbers)];
        let name = format!("products of {sizes:?} outputs and parts");
        let mut case = Case::new(name, inputs, expected, Tolerance::largest(1e-6), |r, i, o, _| {
            record(r, &i[0], &i[1], &o[0], Cost::default())
        });
        case.outputs[0].initial = Some(before);
        case.integer_input(1)
    };
    lists.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_one_product() {
        let [own] = SHADER.variants else { panic!("one variant") };
        assert_eq!((own.constant("WIDTH") / own.constant("SHARES")) as usize, ACROSS);
        let fellow = sum_parts::SHADER.variants.iter().find(|v| v.sets("SHARES") == own.sets("SHARES"));
        assert_eq!(fellow.expect("of as many shares").name, own.name);
    }
}
