//! Gradient of a convolution by its weights, in two stages. Shapes: `x (R, H, W, C)`, `dy (R, OH, OW, Cout)` →
//! `dw [kh, kw, pad4(C), Cout]`.

use super::conv2d::{self, Convolution, Geometry, TOLERANCE};
use super::product::Product;
use super::{
    Case, Kernel, conv2d_weight_grad_array, conv2d_weight_grad_coop, conv2d_weight_grad_halo,
    conv2d_weight_grad_sliding, conv2d_weight_grad_subgroup, conv2d_weight_grad_tiled, conv2d_weight_grad_winograd,
    params, shared, sum_parts,
};
use crate::base::{Array, Result, Shape};
use crate::gpu::{Recording, Shader, Tensor, Variant, Variants, read, write};

params! {
    /// Uniforms of `conv2d_weight_grad.wgsl` and of its other forms.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// H.
        pub height: u32,
        /// W.
        pub width: u32,
        /// pad4(C) / 4.
        pub channels: u32,
        /// OH.
        pub out_height: u32,
        /// OW.
        pub out_width: u32,
        /// pad4(Cout) / 4.
        pub outputs: u32,
        /// kh.
        pub kernel_height: u32,
        /// kw.
        pub kernel_width: u32,
        /// Step between two outputs, in both directions.
        pub stride: u32,
        /// Zeros on each side, in both directions.
        pub padding: u32,
        /// Partial sums.
        pub parts: u32,
        /// Output lines `(r, oy)` a part, or squares of 4 x 4 pixels.
        pub lines: u32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "conv2d_weight_grad",
    source: include_str!("../../shaders/matmul/conv2d_weight_grad.wgsl"),
    shared: &[shared::PANEL],
    params: size_of::<Params>(),
    bindings: &[read("x"), read("dy"), write("part")],
    variants: &[Variant::base("64", &[("WIDTH", 64.0)]), Variant::base("32", &[("WIDTH", 32.0)])],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Slots (a tap and 4 input channels) of one block; see the shader.
pub(super) const SLOTS: u32 = 24;

/// Output pixels a part: a large batch splits into enough parts to fill a GPU.
const PIXELS: usize = 512;

/// The same of the forms for subgroups of 8 lanes, which software adapters take: there adding parts of 512 is 2 to 4 % of ResNet-32's
/// step (docs/performance.md).
const LONG: usize = 2048;

/// Groups that those have at least, if need be with shorter parts: as many threads as Mesa's software adapter starts.
const GROUPS: usize = 16;

/// Bytes of all parts together, at most: wide layers fill an adapter with their weights alone.
const MOST: usize = 16 << 20;

/// Lines a part of about so many output pixels, and the number of parts. They depend on the sizes alone, so that a form adds in one
/// order on every adapter.
fn split(geometry: &Geometry, pixels: usize) -> (usize, usize) {
    let all = geometry.output[0] * geometry.output[1];
    // A grid's third dimension ends at 65,535.
    let parts = (MOST / Shape::new(&geometry.weights()).bytes() as usize).clamp(1, 65_535);
    // Four at a time in some forms.
    let most = pixels.div_ceil(geometry.output[2]).max(all.div_ceil(parts)).next_multiple_of(4).min(all);
    // As even as that leaves them: all wait for the largest.
    let lines = all.div_ceil(all.div_ceil(most)).next_multiple_of(4).min(all);
    (lines, all.div_ceil(lines))
}

/// The shape of the partial sums that [`record`] needs, whatever the form.
pub fn scratch(geometry: &Geometry) -> Shape {
    partial(geometry, split(geometry, PIXELS).1)
}

fn partial(geometry: &Geometry, parts: usize) -> Shape {
    let [kh, kw, channels, outputs] = geometry.weights();
    Shape::new(&[parts, kh * kw * channels, outputs])
}

/// A form and its groups.
struct Form {
    shader: &'static Shader,
    variant: usize,
    grid: [u32; 3],
}

/// The form that the variants name for a geometry.
fn form(forms: &Variants, geometry: &Geometry, p: &Params) -> Form {
    let form =
        |shader, variant, [slots, outputs]: [u32; 2], parts| Form { shader, variant, grid: [slots, outputs, parts] };
    if let Some(shader) = forms.first(&[&conv2d_weight_grad_coop::SHADER, &conv2d_weight_grad_tiled::SHADER]) {
        let (variant, blocks) = conv2d_weight_grad_tiled::plan(shader, forms, p);
        return form(shader, variant, blocks, p.parts);
    }
    let subgroup = &conv2d_weight_grad_subgroup::SHADER;
    let grid = conv2d_weight_grad_sliding::grid(geometry, p.parts);
    let winograd = &conv2d_weight_grad_winograd::SHADER;
    let array = forms.names(&conv2d_weight_grad_array::SHADER);
    if forms.names(winograd)
        && conv2d_weight_grad_winograd::fits(geometry)
        && (!array || conv2d_weight_grad_winograd::pays(geometry))
    {
        let grid = conv2d_weight_grad_winograd::grid(geometry, p.parts);
        return Form { shader: winograd, variant: 0, grid };
    }
    if array && conv2d_weight_grad_array::fits(geometry) {
        let variant = conv2d_weight_grad_array::variant(geometry);
        return Form { shader: &conv2d_weight_grad_array::SHADER, variant, grid };
    }
    let outputs = p.outputs.div_ceil(4);
    if forms.names(subgroup) && conv2d_weight_grad_subgroup::single(geometry) {
        return form(subgroup, 1, [1, outputs], p.parts.div_ceil(8));
    }
    // Where both are named, which would leave fewer lanes idle and load less beside its lines.
    let full = forms.names(subgroup) && conv2d_weight_grad_subgroup::fills(geometry);
    if forms.names(&conv2d_weight_grad_sliding::SHADER) && conv2d_weight_grad_sliding::fits(geometry) && !full {
        let shader = &conv2d_weight_grad_sliding::SHADER;
        return Form { shader, variant: forms.index(shader), grid };
    }
    let blocks = [(p.kernel_height * p.kernel_width * p.channels).div_ceil(SLOTS), outputs];
    if forms.names(subgroup) {
        return form(subgroup, 0, blocks, p.parts);
    }
    let together = forms.variant(&SHADER).constant("WIDTH") / 8;
    form(&SHADER, forms.index(&SHADER), blocks, p.parts.div_ceil(together))
}

/// Uniforms and form of a geometry.
fn planned(forms: &Variants, geometry: &Geometry) -> (Params, Form) {
    let with = |pixels| {
        let p = params(geometry, split(geometry, pixels));
        let found = form(forms, geometry, &p);
        if found.shader.name != conv2d_weight_grad_winograd::SHADER.name {
            return (p, found);
        }
        // As many parts at most, of squares.
        let squares = conv2d_weight_grad_winograd::squares(geometry);
        let lines = squares.div_ceil(p.parts as usize);
        let p = params(geometry, (lines, squares.div_ceil(lines)));
        (p, form(forms, geometry, &p))
    };
    let (p, found) = with(PIXELS);
    let long =
        [&conv2d_weight_grad_array::SHADER, &conv2d_weight_grad_sliding::SHADER, &conv2d_weight_grad_winograd::SHADER];
    let blocks = found.shader.name == conv2d_weight_grad_subgroup::SHADER.name && found.variant == 0;
    if !(blocks || long.iter().any(|shader| shader.name == found.shader.name)) {
        return (p, found);
    }
    let pixels = geometry.output[..3].iter().product::<usize>();
    let groups = found.grid.iter().product::<u32>() as usize;
    with((pixels * groups / (p.parts as usize * GROUPS)).clamp(PIXELS, LONG))
}

fn params(geometry: &Geometry, (lines, parts): (usize, usize)) -> Params {
    Params {
        rows: geometry.input[0] as u32,
        height: geometry.input[1] as u32,
        width: geometry.input[2] as u32,
        channels: geometry.input[3].div_ceil(4) as u32,
        out_height: geometry.output[1] as u32,
        out_width: geometry.output[2] as u32,
        outputs: geometry.output[3].div_ceil(4) as u32,
        kernel_height: geometry.kernel[0] as u32,
        kernel_width: geometry.kernel[1] as u32,
        stride: geometry.convolution.stride as u32,
        padding: geometry.convolution.padding as u32,
        parts: parts as u32,
        lines: lines as u32,
    }
}

/// Records `dw` for `y = x ∗ w`.
///
/// # Errors
/// When the shapes do not fit together or `part` is not [`scratch`]'s shape.
pub fn record(
    recording: &mut Recording,
    x: &Tensor,
    dy: &Tensor,
    convolution: Convolution,
    part: &Tensor,
    dw: &Tensor,
) -> Result<()> {
    let geometry = conv2d::geometry("conv2d_weight_grad", x, dw, convolution, dy)?;
    part.expect("conv2d_weight_grad: part", scratch(&geometry).sizes())?;
    let forms = recording.of_class(Product::Convolution(&SHADER, geometry).class(), geometry.cost().operations);
    if let Some(plan) = conv2d_weight_grad_halo::plan(&forms, &geometry, split(&geometry, PIXELS).1) {
        let parts = plan.params.parts as usize;
        let part = part.window(0, partial(&geometry, parts));
        let sums = if parts == 1 { dw } else { &part };
        let shader = &conv2d_weight_grad_halo::SHADER;
        recording.dispatch_variant_constant(
            shader,
            plan.variant,
            plan.params,
            &[x, dy, sums],
            plan.grid,
            geometry.cost(),
        )?;
        return if parts == 1 { Ok(()) } else { sum_parts::record(recording, &part, dw) };
    }
    let (p, Form { shader, variant, grid }) = planned(&forms, &geometry);
    let part = part.window(0, partial(&geometry, p.parts as usize));
    // A single part is the answer already.
    let sums = if p.parts == 1 { dw } else { &part };
    recording.dispatch_variant(shader, variant, p, &[x, dy, sums], grid, geometry.cost())?;
    if p.parts == 1 { Ok(()) } else { sum_parts::record(recording, &part, dw) }
}

/// The twin: `kernel` is `[kh, kw]`.
pub fn reference(x: &Array, dy: &Array, convolution: Convolution, kernel: [usize; 2]) -> Array {
    let &[r, h, w, c] = x.sizes() else { panic!("x is (R, H, W, C), not {}", x.shape) };
    let geometry = Geometry::new([r, h, w, c], kernel, dy.shape.last(), convolution)
        .expect("checked by the operation's shape rule");
    let mut dw = Array::zeros(&geometry.weights());
    geometry.products(|i, j, k| dw.data[j] += x.data[i] * dy.data[k]);
    dw
}

/// The convolution's cases, seen from the weights.
pub(super) fn cases() -> Vec<Case> {
    cases_of(|_| true, Array::clone)
}

/// Those of the cases that a special form can compute, with what `round` makes of the factors.
pub(super) fn cases_of(fits: fn(&Geometry) -> bool, round: fn(&Array) -> Array) -> Vec<Case> {
    // More than one part where sums are held for longer, the last one shorter.
    let long = [[2, 39, 37, 17, 3, 3, 33, 1, 1], [19, 12, 13, 8, 5, 5, 33, 1, 2]].map(conv2d::of_row);
    conv2d::geometries()
        .into_iter()
        .chain(long)
        .filter(fits)
        .map(|g| {
            let (x, dy) = (round(&Array::normal(&g.input, 1.0, 5)), round(&Array::normal(&g.output, 1.0, 6)));
            let expected = reference(&x, &dy, g.convolution, g.kernel);
            Case::new(conv2d::named(&g), vec![x, dy], expected, TOLERANCE, move |r, i, o, s| {
                record(r, &i[0], &i[1], g.convolution, &s[0], &o[0])
            })
            .with_scratch(vec![scratch(&g)])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_of_one_size_but_for_four_lines() {
        let convolution = Convolution { stride: 1, padding: 1 };
        for (rows, side) in [(1, 1), (4, 7), (4, 13), (4, 14), (4, 28), (5, 56), (32, 32), (512, 32), (3, 224)] {
            let geometry = Geometry::new([rows, side, side, 16], [3, 3], 16, convolution).expect("it fits");
            let (all, (lines, parts)) = (rows * side, split(&geometry, PIXELS));
            assert!(lines * parts >= all && lines * (parts - 1) < all, "{rows} of {side}: {parts} of {lines}");
            assert!(lines < all.div_ceil(parts) + 4 && (lines % 4 == 0 || parts == 1), "{rows} of {side}: {lines}");
        }
    }

    #[test]
    fn subgroups_hold_their_sums_longer_where_groups_are_enough() {
        let shaders = [&conv2d_weight_grad_sliding::SHADER, &conv2d_weight_grad_subgroup::SHADER];
        let software =
            Variants { kernels: shaders.map(|shader| (shader.name, 0)).into_iter().collect(), ..Variants::default() };
        let parts = |forms: &Variants, row| {
            let (p, form) = planned(forms, &conv2d::of_row(row));
            (form.shader.name.trim_start_matches("conv2d_weight_grad"), p.parts)
        };
        let of = |row| parts(&software, row);
        assert_eq!(of([32, 32, 32, 16, 3, 3, 16, 1, 1]), ("_sliding", 16));
        assert_eq!(of([32, 16, 16, 32, 3, 3, 32, 1, 1]), ("_sliding", 4));
        assert_eq!(of([32, 8, 8, 64, 3, 3, 64, 1, 1]), ("_subgroup", 1));
        // One block of slots, two of which share a group: longer parts would leave fewer than 16.
        assert_eq!(of([16, 32, 32, 3, 3, 3, 16, 1, 1]), ("_sliding", 32));
        // What the cases have.
        assert_eq!(of([2, 39, 37, 17, 3, 3, 33, 1, 1]), ("_sliding", 3));
        assert_eq!(of([19, 12, 13, 8, 5, 5, 33, 1, 2]), ("_subgroup", 2));
        assert_eq!(parts(&Variants::default(), [32, 32, 32, 16, 3, 3, 16, 1, 1]), ("", 64));
    }
}
