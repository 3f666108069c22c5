//! Floor 2: kernels. One file a shader, same stem: parameters, shader descriptor, `record`, cost, float64 twin, cases.
//! The tests walk [`REGISTRY`]: a kernel is tested by standing in it.

pub mod accumulate;
pub mod adam;
pub mod add_bias;
pub mod add_into;
pub mod add_scaled;
pub mod aggregate;
pub mod aggregate_transpose;
pub mod argmax;
pub mod assign_labels;
pub mod assign_labels_subgroup;
pub mod avg_pool;
pub mod axpby;
pub mod batch_norm;
pub mod batch_norm_add_relu;
pub mod batch_norm_apply;
pub mod batch_norm_merge;
pub mod batch_norm_project;
pub mod batch_norm_relu;
pub mod batch_norm_relu_project;
pub mod batch_norm_relu_sums;
pub mod batch_norm_residual_sums;
pub mod batch_norm_running;
pub mod batch_norm_stats;
pub mod batch_norm_sums;
pub mod broadcast;
pub mod broadcast_rows;
pub mod ceilings;
pub mod channel_window;
pub mod choose;
pub mod clip_scale;
pub mod colour;
pub mod colour_jitter;
pub mod columns;
pub mod conditional;
pub mod conv2d;
pub mod conv2d_array;
pub mod conv2d_coop;
pub mod conv2d_halo;
pub mod conv2d_halo_stats;
pub mod conv2d_input_grad;
pub mod conv2d_input_grad_coop;
pub mod conv2d_input_grad_halo;
pub mod conv2d_input_grad_subgroup;
pub mod conv2d_input_grad_tiled;
pub mod conv2d_strip;
pub mod conv2d_subgroup;
pub mod conv2d_tiled;
pub mod conv2d_weight_grad;
pub mod conv2d_weight_grad_array;
pub mod conv2d_weight_grad_coop;
pub mod conv2d_weight_grad_halo;
pub mod conv2d_weight_grad_sliding;
pub mod conv2d_weight_grad_subgroup;
pub mod conv2d_weight_grad_tiled;
pub mod conv2d_weight_grad_winograd;
pub mod conv2d_winograd;
pub mod conv2d_winograd_array;
pub mod cooperative;
pub mod copy;
pub mod count_matches;
pub mod counted;
pub mod crop;
pub mod crop_taps;
pub mod cross_entropy;
pub mod cross_entropy_grad;
pub mod decode_augment;
pub mod distillation;
pub mod distillation_grad;
pub mod dropout;
pub mod entropy;
pub mod flag_nonfinite;
pub mod flat;
pub mod fma_loop;
pub mod focal;
pub mod focal_grad;
pub mod gather_labels;
pub mod gather_rows;
pub mod gradient_norm;
pub mod grey_sums;
pub mod halo;
pub mod join;
pub mod loss_scale;
pub mod masked_softmax;
pub mod matmul;
pub mod matmul_column;
pub mod matmul_coop;
pub mod matmul_rows;
pub mod matmul_subgroup;
pub mod matmul_tiled;
pub mod matmul_wide;
pub mod max_pool;
pub mod max_pool_grad;
pub mod max_pool_index;
pub mod max_pool_select;
pub mod max_rows;
pub mod mul;
pub mod normalize_rows;
pub mod one_hot;
pub mod philox_words;
pub mod pool;
pub mod power;
pub mod product;
pub mod relu;
pub mod relu_derivative;
pub mod relu_derivative_sum;
pub mod resized_crop;
pub mod row_dot;
pub mod row_scale;
pub mod rows;
pub mod scatter_rows;
pub mod score_rows;
pub mod score_rows_subgroup;
pub mod sgd;
pub mod shares;
pub mod sinkhorn_pass;
pub mod sinkhorn_pass_subgroup;
pub mod sinkhorn_update;
pub mod sinkhorn_wide;
pub mod sliding_crop;
pub mod softmax;
pub mod softmax_grad;
pub mod sum_all;
pub mod sum_part_lists;
pub mod sum_parts;
pub mod sum_rows;
pub mod tile;
pub mod top_candidates;
pub mod top_candidates_subgroup;
pub mod top_k;
pub mod transform_views;
pub mod transform_views_transpose;
pub mod trial;
pub mod tune;
pub mod unpack_rows;
pub mod work;

use crate::base::compare::Tolerance;
use crate::base::{Array, DType, Result, Shape};
use crate::gpu::{Recording, Shader, Tensor};

/// The kernel of that name.
pub fn named(name: &str) -> Option<&'static Kernel> {
    REGISTRY.iter().find(|kernel| kernel.shader.name == name)
}

/// Every kernel. One line each.
#[rustfmt::skip] // one line each
pub static REGISTRY: &[Kernel] = &[
    accumulate::KERNEL,
    adam::KERNEL,
    add_bias::KERNEL,
    add_into::KERNEL,
    add_scaled::KERNEL,
    aggregate::KERNEL,
    aggregate_transpose::KERNEL,
    argmax::KERNEL,
    assign_labels::KERNEL,
    assign_labels_subgroup::KERNEL,
    avg_pool::KERNEL,
    axpby::KERNEL,
    batch_norm_add_relu::KERNEL,
    batch_norm_apply::KERNEL,
    batch_norm_merge::KERNEL,
    batch_norm_project::KERNEL,
    batch_norm_relu::KERNEL,
    batch_norm_relu_project::KERNEL,
    batch_norm_relu_sums::KERNEL,
    batch_norm_residual_sums::KERNEL,
    batch_norm_running::KERNEL,
    batch_norm_stats::KERNEL,
    batch_norm_sums::KERNEL,
    broadcast::KERNEL,
    broadcast_rows::KERNEL,
    channel_window::KERNEL,
    clip_scale::KERNEL,
    colour_jitter::KERNEL,
    conditional::KERNEL,
    conv2d::KERNEL,
    conv2d_array::KERNEL,
    conv2d_coop::KERNEL,
    conv2d_halo::KERNEL,
    conv2d_halo_stats::KERNEL,
    conv2d_input_grad::KERNEL,
    conv2d_input_grad_coop::KERNEL,
    conv2d_input_grad_halo::KERNEL,
    conv2d_input_grad_subgroup::KERNEL,
    conv2d_input_grad_tiled::KERNEL,
    conv2d_strip::KERNEL,
    conv2d_subgroup::KERNEL,
    conv2d_tiled::KERNEL,
    conv2d_weight_grad::KERNEL,
    conv2d_weight_grad_array::KERNEL,
    conv2d_weight_grad_coop::KERNEL,
    conv2d_weight_grad_halo::KERNEL,
    conv2d_weight_grad_sliding::KERNEL,
    conv2d_weight_grad_subgroup::KERNEL,
    conv2d_weight_grad_tiled::KERNEL,
    conv2d_weight_grad_winograd::KERNEL,
    conv2d_winograd::KERNEL,
    conv2d_winograd_array::KERNEL,
    copy::KERNEL,
    count_matches::KERNEL,
    counted::KERNEL,
    crop_taps::KERNEL,
    cross_entropy::KERNEL,
    cross_entropy_grad::KERNEL,
    decode_augment::KERNEL,
    distillation::KERNEL,
    distillation_grad::KERNEL,
    dropout::KERNEL,
    entropy::KERNEL,
    flag_nonfinite::KERNEL,
    fma_loop::KERNEL,
    focal::KERNEL,
    focal_grad::KERNEL,
    gather_labels::KERNEL,
    gather_rows::KERNEL,
    gradient_norm::KERNEL,
    grey_sums::KERNEL,
    loss_scale::KERNEL,
    masked_softmax::KERNEL,
    matmul::KERNEL,
    matmul_column::KERNEL,
    matmul_rows::KERNEL,
    matmul_coop::KERNEL,
    matmul_subgroup::KERNEL,
    matmul_tiled::KERNEL,
    matmul_wide::KERNEL,
    max_pool::KERNEL,
    max_pool_grad::KERNEL,
    max_pool_index::KERNEL,
    max_pool_select::KERNEL,
    max_rows::KERNEL,
    mul::KERNEL,
    normalize_rows::KERNEL,
    one_hot::KERNEL,
    philox_words::KERNEL,
    power::KERNEL,
    relu::KERNEL,
    relu_derivative::KERNEL,
    relu_derivative_sum::KERNEL,
    resized_crop::KERNEL,
    row_dot::KERNEL,
    row_scale::KERNEL,
    scatter_rows::KERNEL,
    score_rows::KERNEL,
    score_rows_subgroup::KERNEL,
    sgd::KERNEL,
    sinkhorn_pass::KERNEL,
    sinkhorn_pass_subgroup::KERNEL,
    sinkhorn_update::KERNEL,
    sinkhorn_wide::KERNEL,
    sliding_crop::KERNEL,
    softmax::KERNEL,
    softmax_grad::KERNEL,
    sum_all::KERNEL,
    sum_part_lists::KERNEL,
    sum_parts::KERNEL,
    sum_rows::KERNEL,
    top_candidates::KERNEL,
    top_candidates_subgroup::KERNEL,
    top_k::KERNEL,
    transform_views::KERNEL,
    transform_views_transpose::KERNEL,
    unpack_rows::KERNEL,
];

/// Texts of `shaders/shared`, to be named in a shader's `shared` list. Each has one line here.
pub mod shared {
    /// Pixels of a pooling window, and windows of a pixel, with [`WALK`]: `pixels_of`, `windows_of`.
    pub const POOLING: &str = include_str!("../../shaders/shared/pooling.wgsl");
    /// A lane's way through the rows or pixels of a tensor: `quad_of`, `next_quad`, `Place`, `place_of`, `next_place`, `quotient`.
    pub const WALK: &str = include_str!("../../shaders/shared/walk.wgsl");
    /// The sum of an output's parts by several lanes: `sum_shared`.
    pub const PARTS: &str = include_str!("../../shaders/shared/parts.wgsl");
    /// Register tiles of the matrix products: `Sums`, `Panel`, `multiply_add`, `panel_of_columns`.
    pub const PANEL: &str = include_str!("../../shaders/shared/panel.wgsl");
    /// Panels that 8 lanes loaded together: `panel_of_lanes`, `columns_of_lanes`.
    pub const LANES: &str = include_str!("../../shaders/shared/lanes.wgsl");
    /// 4 channels under 4 outputs: `Taps`, `Four`.
    pub const FOURS: &str = include_str!("../../shaders/shared/fours.wgsl");
    /// Sums of 8 outputs of a lane in an array: `Window`, `add_output`.
    pub const EIGHT: &str = include_str!("../../shaders/shared/eight.wgsl");
    /// A channel as three taps see it: `taps_of`, `taps_of_two`.
    pub const WINDOWS: &str = include_str!("../../shaders/shared/windows.wgsl");
    /// What the halves of a group pass round: `panel_of_halves`.
    pub const HALVES: &str = include_str!("../../shaders/shared/halves.wgsl");
    /// Tiles of Winograd's products: `Line`, `Positions`, `input_of`, `tile_of`.
    pub const WINOGRAD: &str = include_str!("../../shaders/shared/winograd.wgsl");
    /// Slots, lines and panels of the weight gradients with 3 taps a row: `slot_of`, `places`.
    pub const LINES: &str = include_str!("../../shaders/shared/lines.wgsl");
    /// The panel of a matrix product for subgroups: `panel_at`.
    pub const PANEL_AT: &str = include_str!("../../shaders/shared/panel_at.wgsl");
    /// Loads, blocks and stores of the matrix products: `load_b`, `quad`, `add_product`, `store`.
    pub const FACTORS: &str = include_str!("../../shaders/shared/factors.wgsl");
    /// What the tiles of matrix products are filled with: `Patch`, `across`, `kept`.
    pub const PATCH: &str = include_str!("../../shaders/shared/patch.wgsl");
    /// The factors of a convolution, as patches.
    pub const PATCHES_FORWARD: &str = include_str!("../../shaders/shared/patches_forward.wgsl");
    /// The factors of a convolution's gradient by its input, as patches.
    pub const PATCHES_INPUT_GRAD: &str = include_str!("../../shaders/shared/patches_input_grad.wgsl");
    /// The factors of a convolution's gradient by its weights, as patches.
    pub const PATCHES_WEIGHT_GRAD: &str = include_str!("../../shaders/shared/patches_weight_grad.wgsl");
    /// The factors of a matrix product, as patches.
    pub const PATCHES_MATMUL: &str = include_str!("../../shaders/shared/patches_matmul.wgsl");
    /// Phases of a gradient by the input: `Phase`, `phase_of`.
    pub const PHASE: &str = include_str!("../../shaders/shared/phase.wgsl");
    /// Loads and stores of a phase's pixels: `corner`, `tap`, `pixel`, `store`.
    pub const PHASE_PIXELS: &str = include_str!("../../shaders/shared/phase_pixels.wgsl");
    /// Steps over a convolution's taps and channels: `Step`, `first_step`, `next_step`.
    pub const TAPS: &str = include_str!("../../shaders/shared/taps.wgsl");
    /// Matrix products in tiles of workgroup memory: `tile`.
    pub const TILE: &str = include_str!("../../shaders/shared/tile.wgsl");
    /// Scales of factors on their way into matrices of half precision: `scale_of`, `next_scale`, `largest`.
    pub const SCALES: &str = include_str!("../../shaders/shared/scales.wgsl");
    /// A round of a tile's factors into workgroup memory, for [`COOPERATIVE`]: `put_rows`, `put_columns`, `largest_of_rows`.
    pub const ROUNDS: &str = include_str!("../../shaders/shared/rounds.wgsl");
    /// Matrix products in tiles on cooperative matrices: `tile`.
    pub const COOPERATIVE: &str = include_str!("../../shaders/shared/cooperative.wgsl");
    /// Bands of images in workgroup memory and factors in two halves: `image_batch`, `put_image`, `first_position`, `add_product`.
    pub const BAND: &str = include_str!("../../shaders/shared/band.wgsl");
    /// Convolutions on cooperative matrices, an image's part in workgroup memory: `halo`.
    pub const HALO: &str = include_str!("../../shaders/shared/halo.wgsl");
    /// Folds of column sums over a workgroup: `fold_columns`.
    pub const COLUMNS: &str = include_str!("../../shaders/shared/columns.wgsl");
    /// A pass over whole rows: `whole_rows`.
    pub const WHOLE_ROWS: &str = include_str!("../../shaders/shared/whole_rows.wgsl");
    /// Sums over whole rows by columns: `whole_sums`.
    pub const WHOLE_SUMS: &str = include_str!("../../shaders/shared/whole_sums.wgsl");
    /// Column sums of a gradient: `gradient_sums`.
    pub const GRADIENT_SUMS: &str = include_str!("../../shaders/shared/gradient_sums.wgsl");
    /// Colour jitter: `Plan`, `colour_plan`, `until_contrast`, `adjusted`.
    pub const COLOUR: &str = include_str!("../../shaders/shared/colour.wgsl");
    /// Focal loss of one probability: `probability`, `modulation`, `focal_slope`.
    pub const FOCAL: &str = include_str!("../../shaders/shared/focal.wgsl");
    /// Philox4x32-10: `philox4x32`, `unit`, `below`.
    pub const PHILOX: &str = include_str!("../../shaders/shared/philox.wgsl");
    /// Tree folds over a workgroup: `fold_sum`, `fold_maximum`.
    pub const REDUCE: &str = include_str!("../../shaders/shared/reduce.wgsl");
    /// Columns of a row in registers: `Quads`, `exponents`.
    pub const QUADS: &str = include_str!("../../shaders/shared/quads.wgsl");
    /// A Sinkhorn pass over a slab of rows: `sinkhorn_slab`.
    pub const SINKHORN: &str = include_str!("../../shaders/shared/sinkhorn.wgsl");
    /// Convolutions with their sums in an array: `load`, `add_block`, `store_outputs`.
    pub const BLOCK: &str = include_str!("../../shaders/shared/block.wgsl");
    /// Convolutions by Winograd's products or with their sums in an array: `pixel`, `weights_at`, `panel_of`, `store_pixel`.
    pub const CONV: &str = include_str!("../../shaders/shared/conv.wgsl");
    /// Scores of optimal transport: `score`, `scaling_of`, `joined`.
    pub const TRANSPORT: &str = include_str!("../../shaders/shared/transport.wgsl");
    /// Views of a transformation set: `turned`, `colour_order`.
    pub const VIEWS: &str = include_str!("../../shaders/shared/views.wgsl");
}

/// A kernel as the tests, the benches and the profiler see it.
#[derive(Debug)]
pub struct Kernel {
    /// Its shader.
    pub shader: &'static Shader,
    /// Names and byte offsets of the fields of `Params`.
    pub fields: &'static [(&'static str, usize)],
    /// Sizes worth testing, with the twin's answers.
    pub cases: fn() -> Vec<Case>,
}

/// Records a case: `(recording, inputs, outputs, scratch)`.
pub type Record = Box<dyn Fn(&mut Recording, &[Tensor], &[Tensor], &[Tensor]) -> Result<()> + Send + Sync>;

/// One test case of a kernel: inputs, the twin's answers, and how to record it.
pub struct Case {
    /// Sizes in words, for failure messages.
    pub name: String,
    /// Input values and their type on the device.
    pub inputs: Vec<(Array, DType)>,
    /// Outputs in the order that `record` takes them.
    pub outputs: Vec<Output>,
    /// Shapes of scratch tensors (poisoned before the run, not compared).
    pub scratch: Vec<Shape>,
    /// Records the kernel.
    pub record: Record,
}

/// One output of a case.
pub struct Output {
    /// What the float64 twin says.
    pub expected: Array,
    /// Its value before the run, for kernels that update in place; poison otherwise.
    pub initial: Option<Array>,
    /// Type on the device.
    pub dtype: DType,
    /// How far it may be off, with the reason at the call.
    pub tolerance: Tolerance,
}

impl Case {
    /// A case of float inputs and one float output.
    pub fn new(
        name: impl Into<String>,
        inputs: Vec<Array>,
        expected: Array,
        tolerance: Tolerance,
        record: impl Fn(&mut Recording, &[Tensor], &[Tensor], &[Tensor]) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            inputs: inputs.into_iter().map(|a| (a, DType::F32)).collect(),
            outputs: vec![Output { expected, initial: None, dtype: DType::F32, tolerance }],
            scratch: Vec::new(),
            record: Box::new(record),
        }
    }

    /// The same case with input `index` as unsigned integers.
    #[must_use]
    pub fn integer_input(mut self, index: usize) -> Self {
        self.inputs[index].1 = DType::U32;
        self
    }

    /// The same case with one more output.
    #[must_use]
    pub fn and_output(mut self, expected: Array, tolerance: Tolerance) -> Self {
        self.outputs.push(Output { expected, initial: None, dtype: DType::F32, tolerance });
        self
    }

    /// The same case with scratch tensors.
    #[must_use]
    pub fn with_scratch(mut self, shapes: Vec<Shape>) -> Self {
        self.scratch = shapes;
        self
    }
}

/// Declares `Params`: a `repr(C)` struct of 4-byte scalars that matches the shader's, with its field names and
/// offsets (a test compares them with what naga reflects).
macro_rules! params {
    ($(#[$meta:meta])* pub struct Params { $($(#[$field_meta:meta])* pub $field:ident: $ty:ty,)+ }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct Params { $($(#[$field_meta])* pub $field: $ty,)+ }

        /// Names and byte offsets of the fields of [`Params`].
        pub const FIELDS: &[(&str, usize)] = &[$((stringify!($field), std::mem::offset_of!(Params, $field)),)+];
    };
}
pub(crate) use params;
