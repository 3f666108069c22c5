// Gradient of a convolution by its weights on cooperative matrices, as in conv2d_weight_grad.wgsl, with bands of
// the image and of the upstream gradient in workgroup memory once for all taps.
//
//   part[g, ky, kx, c, n] = sum over the g-th, (g + parts)-th, … band, and its r, oy, ox, of
//                           x[r, stride·oy + ky − padding, stride·ox + kx − padding, c] · dy[r, oy, ox, n]
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

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;          // (R, H, W, C)
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;         // (R, OH, OW, Cout)
@group(0) @binding(3) var<storage, read_write> part: array<vec4<f32>>; // (parts, kh·kw·pad4(C), Cout)

override DOWN: u32 = 1u;        // matrices of input channels a workgroup, one a subgroup
override ACROSS: u32 = 1u;      // matrices of output channels a workgroup, one a subgroup
override SHARES: u32 = 4u;      // subgroups that share the tiles of a band
override TILES: u32 = 8u;       // room for tiles of dy
override DIRECT: bool = false;  // sums go straight to the part; for SHARES of 1 and channels that fill the matrices
override SUBGROUPS: u32 = 4u;   // DOWN · ACROSS · SHARES
override LANES: u32 = 128u;     // set by the device: SUBGROUPS of its largest
override SPARE: u32 = 1u;       // set by the device: 1 where subgroups may be smaller

override VECTORS: u32 = DOWN * SIDE / 4u;
override IMAGE_VECTORS: u32 = POSITIONS * LINE;
override UPSTREAM: u32 = ACROSS * SIDE / 4u;
// As LINE; after the image's positions.
override UPSTREAM_LINE: u32 = KEPT * UPSTREAM + 2u;
override IMAGE_ROOM: u32 = IMAGE_VECTORS + TILES * SIDE * UPSTREAM_LINE;
override SUM_VECTORS: u32 = select((SUBGROUPS + SPARE) * SIDE * QUADS, 1u, DIRECT);
// As IMAGE_LOADS.
override UPSTREAM_LOADS: u32 = min((TILES * SIDE * UPSTREAM + LANES - 1u) / LANES, 8u);

// Unless DIRECT, a matrix of sums of each subgroup on its way out; the last is of those that nobody reads, where there may be such.
var<workgroup> sums: array<vec4<f32>, SUM_VECTORS>;

alias x_element = vec4<f32>;
alias dy_element = vec4<f32>;
alias Element = x_element;

// As Batch.
struct Upstream {
    loaded: array<dy_element, 8>,
    inside: u32,
}

fn source(i: u32) -> Element {
    return x_element(x[i]);
}

// The i-th vector of the upstream gradient of a block's tiles: not inside where a position is none of its own pixels.
fn upstream_place(i: u32, count: u32, first_vector: u32, block: Block) -> Place {
    let spot = spot_of(i / (UPSTREAM * SIDE), i / UPSTREAM % SIDE);
    let y = block.line + spot.line;
    let n = first_vector + i % UPSTREAM;
    let r = block.image + spot.image;
    let inside = i < count && r < params.rows && spot.line < params.band && y < params.out_height
        && spot.x < params.out_width && n < params.outputs;
    let own = ((spot.image * params.out_height + spot.line) * params.out_width + spot.x) * params.outputs + n;
    let at = (block.image * params.out_height + block.line) * params.out_width * params.outputs + own;
    return Place(select(0u, at, inside), inside);
}

fn upstream_at(i: u32, count: u32, first_vector: u32, block: Block) -> vec4<f32> {
    let place = upstream_place(i, count, first_vector, block);
    return select(vec4(0.0), dy[place.at], place.inside);
}

fn upstream_batch(lane: u32, count: u32, first_vector: u32, block: Block) -> Upstream {
    var batch: Upstream;
    for (var j = 0u; j < UPSTREAM_LOADS; j++) {
        let place = upstream_place(lane + j * LANES, count, first_vector, block);
        batch.loaded[j] = dy_element(dy[place.at]);
        batch.inside |= u32(place.inside) << j;
    }
    return batch;
}

fn of_upstream(batch: Upstream, j: u32) -> vec4<f32> {
    return select(vec4(0.0), vec4<f32>(batch.loaded[j]), (batch.inside & (1u << j)) != 0u);
}

// Where the upstream gradient's i-th vector lies.
fn upstream_room(i: u32) -> u32 {
    return IMAGE_VECTORS + i / UPSTREAM * UPSTREAM_LINE + i % UPSTREAM;
}

// As put_batch.
fn put_upstream(at: u32, batch: Upstream, j: u32, scale: f32) {
    if SCALED {
        put_halves(at, UPSTREAM, of_upstream(batch, j), scale);
    } else {
        image[at] = select(vec4<f16>(), vec4<f16>(batch.loaded[j]), (batch.inside & (1u << j)) != 0u);
    }
}

// The product of a tile and a tap, added to a sum; `at` is where the tile's positions begin. Past the last tap the last is computed
// again and not stored, because matrices ask for uniform control flow.
fn add_tap(tap: u32, at: u32, high: Right, low: Right, sum: Sum) -> Sum {
    let shifted = at + shift_of(tap);
    let whole = coopLoad<Left>(&image[shifted], LINE);
    if SPLIT {
        let rest = coopLoad<Left>(&image[shifted + VECTORS], LINE);
        return coopMultiplyAdd(whole, high, coopMultiplyAdd(whole, low, coopMultiplyAdd(rest, high, sum)));
    }
    return coopMultiplyAdd(whole, high, sum);
}

// What is left of the upstream gradient's matrix `at`; of whole numbers nothing, and nobody asks.
fn low_upstream(at: u32, whole: Right) -> Right {
    if SPLIT {
        return coopLoadT<Right>(&image[at + UPSTREAM], UPSTREAM_LINE);
    }
    return whole;
}

// The sums of one tap over the shares, stored by all lanes, or with `more` added; called after its matrices are in `sums`.
fn store_tap(tap: u32, first_channel: u32, first_vector: u32, part_index: u32, more: bool, lane: u32) {
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
                let at = ((part_index * params.taps + tap) * 4u * params.channels + channel) * params.outputs + n;
                if more {
                    total += part[at];
                }
                part[at] = total;
            }
        }
    }
    workgroupBarrier();
}

// Sums of the runs before this one.
fn sum_before(at: u32, stride: u32) -> Sum {
    return coopLoadT<Sum>(&part[at], stride);
}

// A matrix of sums to where it begins in a part, lines `stride` vectors apart, or with `more` added to what is there. (A parameter: naga
// 30 panics where a stride is computed in the call.)
fn put_sum(sum: Sum, at: u32, stride: u32, more: bool) {
    var total = sum;
    if more {
        total = total + sum_before(at, stride);
    }
    coopStoreT(total, &part[at], stride);
}

// A tap's matrix; `at` is where that of the first tap begins. Past the last tap nothing is put.
fn put_tap(tap: u32, sum: Sum, at: u32, more: bool) {
    if tap < params.taps {
        put_sum(sum, at + tap * 4u * params.channels * params.outputs, params.outputs, more);
    }
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
    let tiles = params.images * params.image_tiles;
    let image_count = params.images * params.image_positions * VECTORS;
    let upstream_count = tiles * SIDE * UPSTREAM;

    if SCALED {
        if lane < 4u {
            atomicStore(&peaks[lane], 0u);
        }
        workgroupBarrier();
    }
    var turn = 0u;
    var image_scale = 1024.0;
    var upstream_scale = 1024.0;
    let own = min(subgroup, SUBGROUPS + SPARE - 1u) * SIDE * QUADS;
    var source_batch = image_batch(lane, image_count, first_channel / 4u, block_of(group.z));
    var upstream = upstream_batch(lane, upstream_count, first_vector, block_of(group.z));
    // Matrix units may cut off where float32 would round, so no run is long.
    for (var run = 0u; run * params.run < params.turns; run++) {
        var s0 = Sum();
        var s1 = Sum();
        var s2 = Sum();
        var s3 = Sum();
        var s4 = Sum();
        var s5 = Sum();
        var s6 = Sum();
        var s7 = Sum();
        var s8 = Sum();
        // Scales grow before the first value of a run alone: later the sums, scaled by both, might not bear it.
        var image_zero = true;
        var upstream_zero = true;
        for (var turn_of_run = 0u; turn_of_run < params.run; turn_of_run++) {
            let index = group.z + (run * params.run + turn_of_run) * params.parts;
            let block = block_of(index);
            var most = 0.0;
            for (var j = 0u; j < IMAGE_LOADS; j++) {
                let i = lane + j * LANES;
                if i < image_count {
                    if SCALED {
                        most = max(most, largest(of_batch(source_batch, j)));
                    }
                    put_batch(image_place(i), source_batch, j, image_scale);
                }
            }
            for (var i = lane + IMAGE_LOADS * LANES; i < image_count; i += LANES) {
                let v = image_at(i, image_count, first_channel / 4u, block);
                if SCALED {
                    most = max(most, largest(v));
                }
                put_halves(image_place(i), VECTORS, v, image_scale);
            }
            var most_upstream = 0.0;
            for (var j = 0u; j < UPSTREAM_LOADS; j++) {
                let i = lane + j * LANES;
                if i < upstream_count {
                    if SCALED {
                        most_upstream = max(most_upstream, largest(of_upstream(upstream, j)));
                    }
                    put_upstream(upstream_room(i), upstream, j, upstream_scale);
                }
            }
            for (var i = lane + UPSTREAM_LOADS * LANES; i < upstream_count; i += LANES) {
                let v = upstream_at(i, upstream_count, first_vector, block);
                if SCALED {
                    most_upstream = max(most_upstream, largest(v));
                }
                put_halves(upstream_room(i), UPSTREAM, v, upstream_scale);
            }
            if SCALED {
                note_peaks(turn, most, most_upstream, sublane);
            }
            workgroupBarrier();
            if SCALED {
                let bits = atomicLoad(&peaks[turn]);
                let bits_upstream = atomicLoad(&peaks[turn + 1u]);
                let image_next = next_scale(bits, image_scale, image_zero);
                let upstream_next = next_scale(bits_upstream, upstream_scale, upstream_zero);
                turn = 2u - turn;
                if lane < 2u {
                    // All have read these, a block ago: the next ones begin at zero.
                    atomicStore(&peaks[turn + lane], 0u);
                }
                if image_next != image_scale || upstream_next != upstream_scale {
                    // Sums are scaled by both; they are zero where one had no value yet.
                    let again = select(image_next / image_scale, 1.0, image_zero)
                        * select(upstream_next / upstream_scale, 1.0, upstream_zero);
                    image_scale = image_next;
                    upstream_scale = upstream_next;
                    s0 = s0 * again;
                    s1 = s1 * again;
                    s2 = s2 * again;
                    s3 = s3 * again;
                    s4 = s4 * again;
                    s5 = s5 * again;
                    s6 = s6 * again;
                    s7 = s7 * again;
                    s8 = s8 * again;
                    for (var i = lane; i < image_count; i += LANES) {
                        put_halves(image_place(i), VECTORS, image_at(i, image_count, first_channel / 4u, block), image_scale);
                    }
                    for (var i = lane; i < upstream_count; i += LANES) {
                        put_halves(upstream_room(i), UPSTREAM, upstream_at(i, upstream_count, first_vector, block), upstream_scale);
                    }
                    workgroupBarrier();
                }
                image_zero = image_zero && bits == 0u;
                upstream_zero = upstream_zero && bits_upstream == 0u;
            }
            // What comes next is under way while matrices are multiplied; past the last block it is zero.
            source_batch = image_batch(lane, image_count, first_channel / 4u, block_of(index + params.parts));
            upstream = upstream_batch(lane, upstream_count, first_vector, block_of(index + params.parts));
            for (var tile = share; tile < tiles; tile += SHARES) {
                let at = first_position(tile) * LINE + own_channel;
                let beside = IMAGE_VECTORS + tile * SIDE * UPSTREAM_LINE + own_vector;
                let upper = coopLoadT<Right>(&image[beside], UPSTREAM_LINE);
                let lower = low_upstream(beside, upper);
                s0 = add_tap(first_tap, at, upper, lower, s0);
                s1 = add_tap(first_tap + 1u, at, upper, lower, s1);
                s2 = add_tap(first_tap + 2u, at, upper, lower, s2);
                s3 = add_tap(first_tap + 3u, at, upper, lower, s3);
                s4 = add_tap(first_tap + 4u, at, upper, lower, s4);
                s5 = add_tap(first_tap + 5u, at, upper, lower, s5);
                s6 = add_tap(first_tap + 6u, at, upper, lower, s6);
                s7 = add_tap(first_tap + 7u, at, upper, lower, s7);
                s8 = add_tap(first_tap + 8u, at, upper, lower, s8);
            }
            workgroupBarrier();
        }
        if SCALED {
            let unscale = (1.0 / image_scale) * (1.0 / upstream_scale);
            s0 = s0 * unscale;
            s1 = s1 * unscale;
            s2 = s2 * unscale;
            s3 = s3 * unscale;
            s4 = s4 * unscale;
            s5 = s5 * unscale;
            s6 = s6 * unscale;
            s7 = s7 * unscale;
            s8 = s8 * unscale;
        }

        let more = run > 0u;
        if DIRECT {
            // Those past the last would add to what they are.
            if subgroup < SUBGROUPS {
                let channel = first_channel + 4u * own_channel;
                let at = group.z * params.taps * 4u * params.channels * params.outputs + channel * params.outputs
                    + first_vector + own_vector;
                put_tap(first_tap, s0, at, more);
                put_tap(first_tap + 1u, s1, at, more);
                put_tap(first_tap + 2u, s2, at, more);
                put_tap(first_tap + 3u, s3, at, more);
                put_tap(first_tap + 4u, s4, at, more);
                put_tap(first_tap + 5u, s5, at, more);
                put_tap(first_tap + 6u, s6, at, more);
                put_tap(first_tap + 7u, s7, at, more);
                put_tap(first_tap + 8u, s8, at, more);
            }
            continue;
        }
        coopStoreT(s0, &sums[own], QUADS);
        store_tap(first_tap, first_channel, first_vector, group.z, more, lane);
        coopStoreT(s1, &sums[own], QUADS);
        store_tap(first_tap + 1u, first_channel, first_vector, group.z, more, lane);
        coopStoreT(s2, &sums[own], QUADS);
        store_tap(first_tap + 2u, first_channel, first_vector, group.z, more, lane);
        coopStoreT(s3, &sums[own], QUADS);
        store_tap(first_tap + 3u, first_channel, first_vector, group.z, more, lane);
        coopStoreT(s4, &sums[own], QUADS);
        store_tap(first_tap + 4u, first_channel, first_vector, group.z, more, lane);
        coopStoreT(s5, &sums[own], QUADS);
        store_tap(first_tap + 5u, first_channel, first_vector, group.z, more, lane);
        coopStoreT(s6, &sums[own], QUADS);
        store_tap(first_tap + 6u, first_channel, first_vector, group.z, more, lane);
        coopStoreT(s7, &sums[own], QUADS);
        store_tap(first_tap + 7u, first_channel, first_vector, group.z, more, lane);
        coopStoreT(s8, &sums[own], QUADS);
        store_tap(first_tap + 8u, first_channel, first_vector, group.z, more, lane);
    }
}
