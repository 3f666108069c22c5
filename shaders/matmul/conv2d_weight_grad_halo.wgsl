// Gradient of a convolution of stride 1 by its weights on cooperative matrices, as in conv2d_weight_grad.wgsl, with bands of
// the image and of the upstream gradient in workgroup memory once for all taps.
//
//   part[g, ky, kx, c, n] = sum over the g-th, (g + parts)-th, … band, and its r, oy, ox, of
//                           x[r, oy + ky − padding, ox + kx − padding, c] · dy[r, oy, ox, n]
//
// Shapes     x (R, H, W, C), dy (R, OH, OW, Cout) -> part (parts, kh·kw·pad4(C), Cout); sum_parts.wgsl adds the parts
// Dispatch   (blocks of CHANNELS input channels · blocks of 9 taps, blocks of COLUMNS output channels, parts)
// Tile       a subgroup computes 9 matrices, the taps of SIDE input by SIDE output channels; SHARES of them share a band
// Shared     a band of both, and a matrix of sums a subgroup: at most 48 KiB; needs cooperative matrices, f16 and subgroups
// Order      each part is summed band by band, as the matrix unit adds, then over the shares: the same bits every run
// Paper      Ootomo and Yokota, "Recovering single precision accuracy from Tensor Cores while surpassing the FP32 theoretical
//            peak performance", 2022 (factors as sums of two halves, sums outside the unit)

enable f16;
enable wgpu_cooperative_matrix;

struct Params {
    rows: u32,             // R
    height: u32,           // H
    width: u32,            // W
    channels: u32,         // pad4(C) / 4
    out_height: u32,       // OH
    out_width: u32,        // OW
    outputs: u32,          // pad4(Cout) / 4
    kernel_width: u32,     // kw
    taps: u32,             // kh · kw
    padding: u32,
    pitch: u32,            // positions a line: W + 2 · padding
    band: u32,             // lines of dy a band
    bands: u32,            // bands an image
    images: u32,           // images a band; 1 unless it is all of one
    image_tiles: u32,      // tiles of SIDE positions of an image's band
    line_tiles: u32,       // tiles a line where lines are whole tiles, else 0
    image_positions: u32,  // positions of an image's part
    image_reciprocal: u32, // 2²⁰ / image_positions, rounded up
    line_reciprocal: u32,  // 2²⁰ / pitch, rounded up
    columns: u32,          // Cout
    parts: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;          // (R, H, W, C)
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;         // (R, OH, OW, Cout)
@group(0) @binding(3) var<storage, read_write> part: array<vec4<f32>>; // (parts, kh·kw·pad4(C), Cout)

override DOWN: u32 = 1u;        // matrices of input channels a workgroup, one a subgroup
override ACROSS: u32 = 1u;      // matrices of output channels a workgroup, one a subgroup
override SHARES: u32 = 4u;      // subgroups that share the tiles of a band
override POSITIONS: u32 = 240u; // room for positions of x
override TILES: u32 = 8u;       // room for tiles of dy
override SUBGROUPS: u32 = 4u;   // DOWN · ACROSS · SHARES
override LANES: u32 = 128u;     // set by the device: SUBGROUPS of its largest

override VECTORS: u32 = DOWN * SIDE / 4u;
override UPSTREAM: u32 = ACROSS * SIDE / 4u;
override UPSTREAM_LINE: u32 = UPSTREAM + 2u;
override IMAGE_VECTORS: u32 = POSITIONS * LINE;
override UPSTREAM_VECTORS: u32 = TILES * SIDE * UPSTREAM_LINE;
override LOW_IMAGE: u32 = select(2u, IMAGE_VECTORS, SPLIT);
override LOW_UPSTREAM: u32 = select(2u, UPSTREAM_VECTORS, SPLIT);
override SUM_VECTORS: u32 = (SUBGROUPS + 1u) * SIDE * QUADS;

var<workgroup> image_high: array<vec4<f16>, IMAGE_VECTORS>;
var<workgroup> image_low: array<vec4<f16>, LOW_IMAGE>;
var<workgroup> upstream_high: array<vec4<f16>, UPSTREAM_VECTORS>;
var<workgroup> upstream_low: array<vec4<f16>, LOW_UPSTREAM>;
// A matrix of sums of each subgroup on its way out; the last is of those that nobody reads.
var<workgroup> sums: array<vec4<f32>, SUM_VECTORS>;

fn image_at(place: Place) -> vec4<f32> {
    return select(vec4(0.0), x[place.at], place.inside);
}

// The i-th vector of the upstream gradient of a band's tiles: zero where a position is none of its own pixels.
fn upstream_at(i: u32, first_vector: u32, first_image: u32, first_line: u32) -> vec4<f32> {
    let tile = i / (UPSTREAM * SIDE);
    let image = tile / params.image_tiles;
    let position = tile % params.image_tiles * SIDE + i / UPSTREAM % SIDE;
    let pitch = select(params.pitch, params.out_width, params.line_tiles > 0u);
    let line = position / pitch;
    let column = position % pitch;
    let y = first_line + line;
    let n = first_vector + i % UPSTREAM;
    let r = first_image + image;
    let inside = r < params.rows && line < params.band && y < params.out_height && column < params.out_width && n < params.outputs;
    let at = ((r * params.out_height + y) * params.out_width + column) * params.outputs + n;
    return select(vec4(0.0), dy[select(0u, at, inside)], inside);
}

fn low_image(at: u32, whole: Left) -> Left {
    if SPLIT {
        return coopLoad<Left>(&image_low[at], LINE);
    }
    return whole;
}

fn low_upstream(at: u32, whole: Right) -> Right {
    if SPLIT {
        return coopLoadT<Right>(&upstream_low[at], UPSTREAM_LINE);
    }
    return whole;
}

// The product of a tile and a tap, added to a sum; `at` is where the tile's positions begin. Past the last tap the last is computed
// again and not stored, because matrices ask for uniform control flow.
fn add_tap(tap: u32, at: u32, high: Right, low: Right, sum: Sum) -> Sum {
    let t = min(tap, params.taps - 1u);
    let shifted = at + (t / params.kernel_width * params.pitch + t % params.kernel_width) * LINE;
    let own = coopLoad<Left>(&image_high[shifted], LINE);
    return add_product(own, low_image(shifted, own), high, low, sum);
}

// The sums of one tap over the shares, stored by all lanes; called after its matrices are in `sums`.
fn store_tap(tap: u32, first_channel: u32, first_vector: u32, part_index: u32, lane: u32) {
    workgroupBarrier();
    if tap < params.taps {
        for (var i = lane; i < DOWN * ACROSS * SIDE * QUADS; i += LANES) {
            let matrix = i / (SIDE * QUADS);
            let within = i % (SIDE * QUADS);
            var total = vec4(0.0);
            for (var share = 0u; share < SHARES; share++) {
                total += sums[(matrix * SHARES + share) * SIDE * QUADS + within];
            }
            let channel = first_channel + matrix / ACROSS * SIDE + within / QUADS;
            let n = first_vector + matrix % ACROSS * QUADS + within % QUADS;
            if channel < 4u * params.channels && n < params.outputs {
                part[((part_index * params.taps + tap) * 4u * params.channels + channel) * params.outputs + n] = total;
            }
        }
    }
    workgroupBarrier();
}

@compute @workgroup_size(LANES)
fn conv2d_weight_grad_halo(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) sublane: u32,
) {
    let tap_blocks = (params.taps + 8u) / 9u;
    let first_tap = group.x % tap_blocks * 9u;
    let first_channel = group.x / tap_blocks * DOWN * SIDE;
    let first_vector = group.y * UPSTREAM;
    // Subgroups past the last (they are smaller than they may be) compute its matrices again, because matrices ask for
    // uniform control flow.
    let place = min(subgroup, SUBGROUPS - 1u);
    let share = place % SHARES;
    let matrix = place / SHARES;
    let own_channel = matrix / ACROSS * QUADS;
    let own_vector = matrix % ACROSS * QUADS;
    let items = (params.rows + params.images - 1u) / params.images * params.bands;
    let tiles = params.images * params.image_tiles;
    let image_vectors = params.images * params.image_positions * VECTORS;
    let upstream_vectors = tiles * SIDE * UPSTREAM;

    var s0 = Sum();
    var s1 = Sum();
    var s2 = Sum();
    var s3 = Sum();
    var s4 = Sum();
    var s5 = Sum();
    var s6 = Sum();
    var s7 = Sum();
    var s8 = Sum();
    if SPLIT {
        if lane < 4u {
            atomicStore(&peaks[lane], 0u);
        }
        workgroupBarrier();
    }
    var turn = 0u;
    for (var item = group.z; item < items; item += params.parts) {
        let first_image = item / params.bands * params.images;
        let first_line = item % params.bands * params.band;
        if SPLIT {
            var most = 0.0;
            for (var i = lane; i < image_vectors; i += LANES) {
                most = max(most, largest(image_at(place_of(i, first_channel / 4u, first_image, first_line))));
            }
            most = subgroupMax(most);
            var most_upstream = 0.0;
            for (var i = lane; i < upstream_vectors; i += LANES) {
                most_upstream = max(most_upstream, largest(upstream_at(i, first_vector, first_image, first_line)));
            }
            most_upstream = subgroupMax(most_upstream);
            if sublane == 0u {
                atomicMax(&peaks[turn], bitcast<u32>(most));
                atomicMax(&peaks[turn + 1u], bitcast<u32>(most_upstream));
            }
        }
        workgroupBarrier();
        var image_scale = 1.0;
        var upstream_scale = 1.0;
        if SPLIT {
            image_scale = scale_of(atomicLoad(&peaks[turn]));
            upstream_scale = scale_of(atomicLoad(&peaks[turn + 1u]));
            turn = 2u - turn;
            if lane < 2u {
                // All have read these: the next ones begin at zero.
                atomicStore(&peaks[turn + lane], 0u);
            }
        }
        for (var i = lane; i < image_vectors; i += LANES) {
            let own = place_of(i, first_channel / 4u, first_image, first_line);
            let v = image_at(own);
            if SPLIT {
                let scaled = v * image_scale;
                let upper = high(scaled);
                image_high[own.own] = vec4<f16>(upper);
                image_low[own.own] = vec4<f16>(scaled - upper);
            } else {
                image_high[own.own] = vec4<f16>(v);
            }
        }
        for (var i = lane; i < upstream_vectors; i += LANES) {
            let own = i / UPSTREAM * UPSTREAM_LINE + i % UPSTREAM;
            let v = upstream_at(i, first_vector, first_image, first_line);
            if SPLIT {
                let scaled = v * upstream_scale;
                let upper = high(scaled);
                upstream_high[own] = vec4<f16>(upper);
                upstream_low[own] = vec4<f16>(scaled - upper);
            } else {
                upstream_high[own] = vec4<f16>(v);
            }
        }
        workgroupBarrier();
        var p0 = Sum();
        var p1 = Sum();
        var p2 = Sum();
        var p3 = Sum();
        var p4 = Sum();
        var p5 = Sum();
        var p6 = Sum();
        var p7 = Sum();
        var p8 = Sum();
        if !SPLIT {
            p0 = s0;
            p1 = s1;
            p2 = s2;
            p3 = s3;
            p4 = s4;
            p5 = s5;
            p6 = s6;
            p7 = s7;
            p8 = s8;
        }
        for (var tile = share; tile < tiles; tile += SHARES) {
            let at = first_position(tile) * LINE + own_channel;
            let beside = tile * SIDE * UPSTREAM_LINE + own_vector;
            let upper = coopLoadT<Right>(&upstream_high[beside], UPSTREAM_LINE);
            let lower = low_upstream(beside, upper);
            p0 = add_tap(first_tap, at, upper, lower, p0);
            p1 = add_tap(first_tap + 1u, at, upper, lower, p1);
            p2 = add_tap(first_tap + 2u, at, upper, lower, p2);
            p3 = add_tap(first_tap + 3u, at, upper, lower, p3);
            p4 = add_tap(first_tap + 4u, at, upper, lower, p4);
            p5 = add_tap(first_tap + 5u, at, upper, lower, p5);
            p6 = add_tap(first_tap + 6u, at, upper, lower, p6);
            p7 = add_tap(first_tap + 7u, at, upper, lower, p7);
            p8 = add_tap(first_tap + 8u, at, upper, lower, p8);
        }
        if SPLIT {
            let unscale = (1.0 / image_scale) * (1.0 / upstream_scale);
            s0 = s0 + p0 * unscale;
            s1 = s1 + p1 * unscale;
            s2 = s2 + p2 * unscale;
            s3 = s3 + p3 * unscale;
            s4 = s4 + p4 * unscale;
            s5 = s5 + p5 * unscale;
            s6 = s6 + p6 * unscale;
            s7 = s7 + p7 * unscale;
            s8 = s8 + p8 * unscale;
        } else {
            s0 = p0;
            s1 = p1;
            s2 = p2;
            s3 = p3;
            s4 = p4;
            s5 = p5;
            s6 = p6;
            s7 = p7;
            s8 = p8;
        }
        workgroupBarrier();
    }

    let own = min(subgroup, SUBGROUPS) * SIDE * QUADS;
    coopStoreT(s0, &sums[own], QUADS);
    store_tap(first_tap, first_channel, first_vector, group.z, lane);
    coopStoreT(s1, &sums[own], QUADS);
    store_tap(first_tap + 1u, first_channel, first_vector, group.z, lane);
    coopStoreT(s2, &sums[own], QUADS);
    store_tap(first_tap + 2u, first_channel, first_vector, group.z, lane);
    coopStoreT(s3, &sums[own], QUADS);
    store_tap(first_tap + 3u, first_channel, first_vector, group.z, lane);
    coopStoreT(s4, &sums[own], QUADS);
    store_tap(first_tap + 4u, first_channel, first_vector, group.z, lane);
    coopStoreT(s5, &sums[own], QUADS);
    store_tap(first_tap + 5u, first_channel, first_vector, group.z, lane);
    coopStoreT(s6, &sums[own], QUADS);
    store_tap(first_tap + 6u, first_channel, first_vector, group.z, lane);
    coopStoreT(s7, &sums[own], QUADS);
    store_tap(first_tap + 7u, first_channel, first_vector, group.z, lane);
    coopStoreT(s8, &sums[own], QUADS);
    store_tap(first_tap + 8u, first_channel, first_vector, group.z, lane);
}
