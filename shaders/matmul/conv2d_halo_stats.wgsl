// Convolution of NHWC images on cooperative matrices, as conv2d_halo.wgsl, and what batch_norm_stats.wgsl would find out
// about its outputs in another pass: mean and squares of those of each workgroup, for batch_norm_merge.wgsl.
//
//   y[r, oy, ox, n] = sum over ky, kx, c of x[r, stride·oy + ky − padding, stride·ox + kx − padding, c] · w[ky, kx, c, n]
//   partial[g, 0, n] = mean of the g-th workgroup's y[…, n],  partial[g, 1, n] = sum of (y[…, n] − that)²,  partial[g, 2, n] = how many
//
// Shapes     x (R, H, W, C), w [kh, kw, pad4(C), Cout] -> y (R, OH, OW, Cout), partial (G, 3, Cout); places outside x count as zero
// Dispatch   (some or all blocks of lines or images, blocks of COLUMNS output channels, fold of x past 65535 groups); G = x · z
// Tile       a subgroup computes matrices of SIDE positions by SIDE outputs, its weights in registers; SHARES of them share the channels
// Shared     a chunk of channels of the lines and their border, through which weights pass too, and a matrix of sums a subgroup: at most
//            48 KiB (halo.wgsl); needs cooperative matrices, f16 and subgroups
// Order      each output is summed in one order of c, ky, kx, as the matrix unit adds; a lane adds its own outputs in rising order, then a
//            tree over lanes: the same bits every run
// Paper      Ootomo and Yokota, "Recovering single precision accuracy from Tensor Cores while surpassing the FP32 theoretical
//            peak performance", 2022 (factors as sums of two halves, sums outside the unit)

enable f16;
enable wgpu_cooperative_matrix;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;             // (R, H, W, C)
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>;             // [kh, kw, pad4(C), Cout]
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;       // (R, OH, OW, Cout)
@group(0) @binding(4) var<storage, read_write> partial: array<vec4<f32>>; // (G, 3, Cout)

override APART: u32 = ACROSS * QUADS; // lanes from one to the next that puts values of the same channels

// What a lane's outputs, all of one vector of channels, add up to about the first of them, which is within a few deviations of
// their mean: nothing cancels however large that is.
var<private> about: vec4<f32>;
var<private> seen: f32;
var<private> plain: vec4<f32>;
var<private> squares: vec4<f32>;

alias x_element = vec4<f32>;
alias Element = x_element;

fn source(i: u32) -> Element {
    return x_element(x[i]);
}

fn weights(i: u32) -> vec4<f32> {
    return w[i];
}

fn put(i: u32, value: vec4<f32>) {
    y[i] = value;
    if seen == 0.0 {
        about = value;
    }
    seen += 1.0;
    let off = value - about;
    plain += off;
    squares = fma(off, off, squares);
}

// The sum of a vector over the lanes that put values of the same channels, in a fixed order; called by all lanes after `halo`.
fn folded(lane: u32, value: vec4<f32>) -> vec4<f32> {
    workgroupBarrier(); // every lane has read what lay here
    sums[lane] = value;
    for (var half = LANES / 2u; half >= APART; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            sums[lane] += sums[lane + half];
        }
    }
    workgroupBarrier();
    return sums[lane % APART];
}

@compute @workgroup_size(LANES)
fn conv2d_halo_stats(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) sublane: u32,
) {
    let index = group.x + group.z * groups.x;
    halo(index, groups.x * groups.z, group.y * COLUMNS, lane, subgroup, sublane);

    // Moved to what the first lane of the same channels counted from.
    workgroupBarrier();
    if lane < APART {
        sums[lane] = about;
    }
    workgroupBarrier();
    let centre = sums[lane % APART];
    let off = select(vec4(0.0), about - centre, seen > 0.0);
    let count = folded(lane, vec4(seen));
    let total = folded(lane, fma(vec4(seen), off, plain));
    let total_squares = folded(lane, fma(2.0 * plain + seen * off, off, squares));
    let column = group.y * APART + lane;
    if lane < APART && column < params.outputs {
        let shift = total / max(count, vec4(1.0));
        let at = 3u * index * params.outputs + column;
        partial[at] = centre + shift;
        partial[at + params.outputs] = max(total_squares - total * shift, vec4(0.0));
        partial[at + 2u * params.outputs] = count;
    }
}
