//! Convolutions, their gradients and matrix products as data: shapes in words, the classes of shapes that one choice of
//! form holds for, the forms there are, and operands to try them on.

use super::conv2d::{Convolution, Geometry};
use super::{
    conv2d, conv2d_array, conv2d_coop, conv2d_halo, conv2d_input_grad, conv2d_input_grad_coop, conv2d_input_grad_halo,
    conv2d_input_grad_subgroup, conv2d_input_grad_tiled, conv2d_strip, conv2d_subgroup, conv2d_tiled,
    conv2d_weight_grad, conv2d_weight_grad_array, conv2d_weight_grad_coop, conv2d_weight_grad_halo,
    conv2d_weight_grad_sliding, conv2d_weight_grad_subgroup, conv2d_weight_grad_tiled, conv2d_weight_grad_winograd,
    conv2d_winograd, conv2d_winograd_array, halo, matmul, matmul_column, matmul_coop, matmul_rows, matmul_subgroup,
    matmul_tiled, matmul_wide, shared,
};
use crate::base::{DType, Error, Result};
use crate::gpu::{Engine, Factors, Recording, Shader, Tensor, adapter, cooperative};

/// Forms of kernels, each as its shader and the variant.
macro_rules! forms {
    ($($kernel:ident: $($variant:literal)+),+ $(,)?) => { &[$($((&$kernel::SHADER, $variant),)+)+] };
}

/// The kernels whose forms are measured, by the name of their plain form, each with all forms there are: the plain one,
/// which runs everywhere and which the others must agree with, comes first. Variants that choose by the shape are left out.
pub const FORMS: [(&Shader, &[(&Shader, usize)]); 4] = [
    (
        &conv2d::SHADER,
        forms![
            conv2d: 0 1,
            conv2d_subgroup: 0,
            conv2d_winograd: 0,
            conv2d_winograd_array: 0,
            conv2d_array: 0,
            conv2d_strip: 0,
            conv2d_tiled: 1 2 3 4 5 6,
            conv2d_halo: 1 2 3 4 5 6 7 8 9 10 11 12 14 15 16 17 18 19 20 21 22 23 24 25,
            conv2d_coop: 1 2 3 4 5 6 7 8 9 11 12 13 14 15 16 17 18 19,
        ],
    ),
    (
        &conv2d_input_grad::SHADER,
        forms![
            conv2d_input_grad: 0 1,
            conv2d_input_grad_subgroup: 0,
            conv2d_winograd: 0,
            conv2d_winograd_array: 0,
            conv2d_array: 0,
            conv2d_strip: 0,
            conv2d_input_grad_tiled: 1 2 3 4 5 6,
            conv2d_input_grad_halo: 1 2 3 4 5 6 7 8 9 10 11 12 14 15 16 17 18 19 20 21 22 23 24 25,
            conv2d_input_grad_coop: 1 2 3 4 5 6 7 8 9 11 12 13 14 15 16 17 18 19,
        ],
    ),
    (
        &conv2d_weight_grad::SHADER,
        forms![
            conv2d_weight_grad: 0 1,
            conv2d_weight_grad_subgroup: 0,
            conv2d_weight_grad_sliding: 0,
            conv2d_weight_grad_array: 0,
            conv2d_weight_grad_winograd: 0,
            conv2d_weight_grad_tiled: 1 2 3 4 5 6,
            conv2d_weight_grad_halo: 1 2 3 4 5 6 7 8 9 10 12 13 14 15 16 17 18 19 20 21,
            conv2d_weight_grad_coop: 1 2 3 4 5 6 7 8 9 11 12 13 14 15 16 17 18 19,
        ],
    ),
    // Of matrix products, the first of four for the pairs of transposes stands for its tile.
    (
        &matmul::SHADER,
        forms![
            matmul: 0 4,
            matmul_subgroup: 0,
            matmul_wide: 0,
            matmul_column: 0,
            matmul_rows: 0,
            matmul_tiled: 4 8 12 16 20 24,
            matmul_coop: 4 8 12 16 20 24 28 32 36 44 48 52 56 60 64 68 72 76,
        ],
    ),
];

/// The forms that keep their sums in an array; the call chooses among the variants of each.
pub(super) const ARRAYS: [&Shader; 6] = [
    &conv2d_array::SHADER,
    &conv2d_strip::SHADER,
    &conv2d_weight_grad_array::SHADER,
    &conv2d_weight_grad_winograd::SHADER,
    &conv2d_winograd_array::SHADER,
    &matmul_column::SHADER,
];

/// Whether a software adapter's driver keeps a private array in memory and loads its elements where they are used. Mesa
/// 22.3 looks every element up lane by lane and compiles for half a minute.
pub fn keeps_arrays(engine: &Engine) -> bool {
    engine.is_software() && adapter::recent_mesa(engine.info())
}

/// Whether an adapter can run a form. Forms that pass values round a subgroup stand on at least 8 lanes of one, those on
/// cooperative matrices on the adapter's side of these, and those that keep their sums in an array on [`keeps_arrays`].
pub fn offered(engine: &Engine, (shader, variant): (&Shader, usize)) -> bool {
    let variant = &shader.variants[variant];
    let needs = variant.needs;
    if needs.contains(cooperative::NEEDS) {
        // Those of halo.rs take more workgroup memory than the adapters that have such matrices promise. They also scale and add
        // matrices, for which Metal has no operators, though naga writes them as they stand.
        let room = engine.limits().max_compute_workgroup_storage_size;
        let metal = engine.info().backend == wgpu::Backend::Metal;
        let able = variant.sets("SUBGROUPS").is_none() || (halo::memory(variant) <= room && !metal);
        return engine.cooperative() == Some(variant.constant("SIDE")) && able;
    }
    let wide_enough = !needs.contains(wgpu::Features::SUBGROUP) || engine.info().subgroup_min_size >= 8;
    engine.features().contains(needs) && wide_enough && (!keeps_sums(shader.name) || keeps_arrays(engine))
}

/// What a form needs of an adapter, in words.
pub fn needs((shader, variant): (&Shader, usize)) -> String {
    let features = shader.variants[variant].needs;
    let more = if keeps_sums(shader.name) {
        " and Mesa 25 or later"
    } else if shader.variants[variant].sets("SUBGROUPS").is_some() {
        " and matrices of its side, not on Metal"
    } else if features.contains(cooperative::NEEDS) {
        " and matrices of its side"
    } else {
        ""
    };
    let names: Vec<&str> = features.iter_names().map(|(name, _)| name).collect();
    format!("{} on subgroups of 8 lanes or more{more}", names.join(", "))
}

/// Whether a kernel keeps its sums in an array.
pub(super) fn keeps_sums(kernel: &str) -> bool {
    ARRAYS.iter().any(|form| form.name == kernel)
}

/// Whether measuring a form can pay on an adapter that offers it. A software adapter keeps workgroup memory where it keeps
/// everything and takes seconds to compile a tile; its lanes are a loop, so another width of the plain form changes nothing.
pub fn worth(engine: &Engine, (shader, variant): (&Shader, usize)) -> bool {
    let software = engine.is_software();
    let tiled = shader.shared.iter().any(|part| [shared::TILE, shared::COOPERATIVE].contains(part));
    let wider = variant > 0 && FORMS.iter().any(|(plain, _)| plain.name == shader.name);
    !(software && (tiled || wider))
}

/// Work that has several forms.
#[derive(Clone, Copy, Debug)]
pub enum Product {
    /// A convolution, or one of its gradients, by the shader of its plain form.
    Convolution(&'static Shader, Geometry),
    /// A product of matrices.
    Matrices {
        /// M, K, N.
        sizes: [usize; 3],
        /// Whether A and B are transposed.
        transposed: [bool; 2],
    },
}

/// Makes a tensor of given sizes and type.
pub type Fill<'a> = dyn FnMut(&[usize], DType) -> Result<Tensor> + 'a;

/// Records work with whatever variants the recording asks for.
pub type Recorder = Box<dyn Fn(&mut Recording) -> Result<()>>;

/// A product's tensors, and how it is recorded on them.
pub struct Operands {
    /// What it writes.
    pub output: Tensor,
    /// Records it.
    pub record: Recorder,
}

impl Product {
    /// The shader of its plain form.
    pub fn plain(&self) -> &'static Shader {
        match self {
            Self::Convolution(shader, _) => shader,
            Self::Matrices { .. } => &matmul::SHADER,
        }
    }

    /// Its shape in words, as [`Product::parse`] reads it.
    pub fn shape(&self) -> String {
        match *self {
            Self::Convolution(_, Geometry { input: [r, h, w, c], kernel: [kh, kw], output, convolution }) => {
                let side = if kh == kw { format!("k{kh}") } else { format!("k{kh}x{kw}") };
                let Convolution { stride, padding } = convolution;
                format!("{r}x{h}x{w}x{c}-{},{side},s{stride},p{padding}", output[3])
            }
            Self::Matrices { sizes: [m, k, n], transposed: [a, b] } => {
                format!("{m}x{k}x{n}{}{}", if a { ",ta" } else { "" }, if b { ",tb" } else { "" })
            }
        }
    }

    /// What decides about speed: its kernel and its shape, with the rows of a convolution and all sizes of matrices
    /// rounded up to powers of two. [`Product::of_class`] makes the product that stands for the class.
    pub fn class(&self) -> String {
        let mut rounded = *self;
        match &mut rounded {
            Self::Convolution(_, geometry) => {
                geometry.input[0] = geometry.input[0].next_power_of_two();
                geometry.output[0] = geometry.input[0];
            }
            Self::Matrices { sizes, .. } => *sizes = sizes.map(usize::next_power_of_two),
        }
        format!("{} {}", self.plain().name, rounded.shape())
    }

    /// The product that a class names, whatever becomes of its factors; `None` when it names none.
    pub fn of_class(class: &str) -> Option<Self> {
        let (kernel, shape) = Factors::of_class(class).0.split_once(' ')?;
        Self::parse(kernel, shape).ok().flatten()
    }

    /// A product by the name of its plain form and its shape in words; `None` when these are not understood.
    ///
    /// # Errors
    /// When the kernel of a convolution does not fit its image.
    pub fn parse(kernel: &str, shape: &str) -> Result<Option<Self>> {
        let Some((plain, _)) = FORMS.iter().find(|(plain, _)| plain.name == kernel) else { return Ok(None) };
        if plain.name == matmul::SHADER.name {
            return Ok(matrices(shape));
        }
        let Some((input, kernel, outputs, convolution)) = convolution(shape) else { return Ok(None) };
        let geometry =
            Geometry::new(input, kernel, outputs, convolution).map_err(|e| Error::Config(format!("{shape}: {e}")))?;
        Ok(Some(Self::Convolution(plain, geometry)))
    }

    /// Products in one sum.
    pub fn terms(&self) -> usize {
        match self {
            Self::Convolution(shader, g) => {
                let taps = g.kernel[0] * g.kernel[1];
                match shader.name {
                    "conv2d" => taps * g.input[3],
                    "conv2d_input_grad" => taps * g.output[3],
                    _ => g.output[..3].iter().product(),
                }
            }
            Self::Matrices { sizes: [_, k, _], .. } => *k,
        }
    }

    /// Floating-point operations.
    pub fn operations(&self) -> u64 {
        match self {
            Self::Convolution(_, geometry) => geometry.cost().operations,
            Self::Matrices { sizes, .. } => 2 * sizes.iter().map(|&n| n as u64).product::<u64>(),
        }
    }

    /// The type that a step with such factors keeps its images in; matrices stay in single precision.
    pub fn maps(&self, factors: Factors) -> DType {
        if factors == Factors::Half && matches!(self, Self::Convolution(..)) { DType::F16 } else { DType::F32 }
    }

    /// Tensors for it; `fill` makes one of given sizes and type. `maps` is the type of images, and of all matrices.
    ///
    /// # Errors
    /// When the adapter has no room.
    pub fn operands(&self, engine: &Engine, maps: DType, fill: &mut Fill<'_>) -> Result<Operands> {
        match *self {
            Self::Convolution(shader, g) => {
                let convolution = g.convolution;
                let [x, w, y] = [fill(&g.input, maps)?, fill(&g.weights(), DType::F32)?, fill(&g.output, maps)?];
                Ok(match shader.name {
                    "conv2d" => Operands {
                        output: y.clone(),
                        record: Box::new(move |r| conv2d::record(r, &x, &w, convolution, &y)),
                    },
                    "conv2d_input_grad" => Operands {
                        output: x.clone(),
                        record: Box::new(move |r| conv2d_input_grad::record(r, &y, &w, convolution, &x)),
                    },
                    _ => {
                        let part = engine.tensor("part", conv2d_weight_grad::scratch(&g), DType::F32)?;
                        Operands {
                            output: w.clone(),
                            record: Box::new(move |r| conv2d_weight_grad::record(r, &x, &y, convolution, &part, &w)),
                        }
                    }
                })
            }
            Self::Matrices { sizes: [m, k, n], transposed: [ta, tb] } => {
                let mut fill = |sizes: [usize; 2]| fill(&sizes, maps);
                let a = fill(if ta { [k, m] } else { [m, k] })?;
                let b = fill(if tb { [n, k] } else { [k, n] })?;
                let out = fill([m, n])?;
                Ok(Operands { output: out.clone(), record: Box::new(move |r| matmul::record(r, &a, &b, ta, tb, &out)) })
            }
        }
    }
}

/// The largest size that words may name.
pub const MOST: usize = 1 << 20;

/// Sizes with `x` between; `None` when it is not as many, or one is 0 or huge.
pub fn numbers<const N: usize>(text: &str) -> Option<[usize; N]> {
    <[usize; N]>::try_from(sizes(text)?).ok()
}

/// [`numbers`] of any count.
pub fn sizes(text: &str) -> Option<Vec<usize>> {
    let sizes: Vec<usize> = text.split('x').map(str::parse).collect::<std::result::Result<_, _>>().ok()?;
    sizes.iter().all(|n| (1..=MOST).contains(n)).then_some(sizes)
}

fn matrices(text: &str) -> Option<Product> {
    let mut parts = text.split(',');
    let sizes = parts.next().and_then(numbers::<3>)?;
    let mut transposed = [false; 2];
    for part in parts {
        match part {
            "ta" => transposed[0] = true,
            "tb" => transposed[1] = true,
            _ => return None,
        }
    }
    Some(Product::Matrices { sizes, transposed })
}

fn convolution(text: &str) -> Option<([usize; 4], [usize; 2], usize, Convolution)> {
    let mut parts = text.split(',');
    let (input, outputs) = parts.next()?.split_once('-')?;
    let (input, outputs) = (numbers::<4>(input)?, outputs.parse::<usize>().ok()?);
    let (mut kernel, mut stride, mut padding) = ([3, 3], 1, None);
    for part in parts {
        let value = part.get(1..)?;
        match part.get(..1)? {
            "k" => kernel = numbers::<2>(value).or_else(|| numbers::<1>(value).map(|[side]| [side; 2]))?,
            "s" => stride = value.parse().ok()?,
            "p" => padding = Some(value.parse().ok()?),
            _ => return None,
        }
    }
    let fits = (1..=MOST).contains(&outputs) && kernel.iter().all(|&n| n <= 64) && padding.is_none_or(|p| p <= 64);
    // A border that keeps the image's size, unless another is given.
    let padding = padding.unwrap_or(kernel[0] / 2);
    fits.then_some((input, kernel, outputs, Convolution { stride, padding }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv2d::of_row;

    #[test]
    fn classes_round_what_does_not_decide_and_name_a_product() {
        let of = |rows| Product::Convolution(&conv2d::SHADER, of_row([rows, 32, 32, 16, 3, 3, 24, 2, 1])).class();
        assert_eq!(of(100), "conv2d 128x32x32x16-24,k3,s2,p1");
        assert_eq!(of(128), of(65));
        assert_ne!(of(128), of(129));
        let wide = Product::Convolution(&conv2d_weight_grad::SHADER, of_row([1, 5, 9, 2, 1, 3, 4, 1, 0]));
        assert_eq!(wide.class(), "conv2d_weight_grad 1x5x9x2-4,k1x3,s1,p0");
        let matrices = Product::Matrices { sizes: [100, 64, 10], transposed: [true, false] };
        assert_eq!(matrices.class(), "matmul 128x64x16,ta");
        for class in [of(100), wide.class(), matrices.class()] {
            let product = Product::of_class(&class).expect("a product");
            assert_eq!(product.class(), class, "a class stands for itself");
        }
        let half = Product::of_class("matmul 128x64x16,tb,half").expect("the product with half-precision factors");
        assert_eq!(half.class(), "matmul 128x64x16,tb");
        for class in ["conv2d", "relu 4x4", "conv2d 4x4x4-4", "matmul 4x4", "matmul 4x4x4,tc", "conv2d 1x2x2x1-1,k9,p0"]
        {
            assert!(Product::of_class(class).is_none(), "{class}");
        }
    }

    #[test]
    fn sizes_are_read_strictly() {
        assert_eq!(numbers::<3>("4x5x6"), Some([4, 5, 6]));
        assert!(["4x5", "4x5x", "4x5x0", "4x5x6x7", "", "4x-5x6"].iter().all(|t| numbers::<3>(t).is_none()));
    }

    #[test]
    fn every_tile_is_measured() {
        let forms: Vec<(&str, usize)> =
            FORMS.iter().flat_map(|(_, forms)| forms.iter().map(|f| (f.0.name, f.1))).collect();
        for (_, family) in FORMS {
            for (shader, _) in
                family.iter().filter(|(s, _)| s.shared.iter().any(|t| [shared::TILE, shared::COOPERATIVE].contains(t)))
            {
                // Those by shape repeat another; of matrix products the first pair of transposes stands for a tile.
                let own = |v: &crate::gpu::Variant| {
                    !v.name.contains("by shape") && !["nt", "tn", "tt"].iter().any(|t| v.name.ends_with(t))
                };
                let all = shader.variants.iter().enumerate().filter(|(_, v)| own(v));
                for (place, variant) in all {
                    assert!(forms.contains(&(shader.name, place)), "{} {}", shader.name, variant.name);
                }
            }
        }
    }

    #[test]
    fn every_family_begins_with_the_form_that_runs_everywhere() {
        for (plain, forms) in FORMS {
            assert_eq!((forms[0].0.name, forms[0].1), (plain.name, 0));
            assert!(plain.variants[0].needs.is_empty());
        }
    }
}
