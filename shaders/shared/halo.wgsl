// Convolutions on cooperative matrices, with the part of an image that a workgroup needs in workgroup memory
// once for all taps: a band of lines with its border (halo) and zeros outside the image. Positions count through the lines
// of that part, so a tap is a shift of all of them, and 16 neighbouring positions are the rows of a matrix wherever a line
// ends; places that lie in the border are computed in vain. The gradient by the input at stride 2 (3 by 3 taps, a border of 1)
// has four phases: of lines and of pixels, the even ones meet one tap and the odd ones two. A subgroup holds the weights of its
// columns and channels in registers, for all blocks of its workgroup where one chunk is all channels. Appended after a kernel
// with the bindings of conv2d_halo.wgsl, which declares `Element`, `source(at) -> Element`, `weights(at) -> vec4<f32>` and
// `put(at, value)`, and band.wgsl. A lane puts values of one vector of channels only, and lanes ACROSS · QUADS from one another of the same.

override TURNED: bool = false;   // weights transposed and their taps in reverse: the gradient by the input
override STEPS: u32 = 1u;        // matrices of channels whose weights a subgroup holds, 1 or 2
override SHARES: u32 = 1u;       // subgroups that share a chunk of channels
override ACROSS: u32 = 1u;       // subgroups beside one another, a matrix of columns each
override DOWN: u32 = 1u;         // matrices of positions of a subgroup: 1, 2 or 4
override SUBGROUPS: u32 = 8u;    // a multiple of ACROSS · SHARES
override TAPS: u32 = 9u;         // taps whose weights lie in workgroup memory at a time
override AHEAD: bool = false;    // a block's vectors are loaded while the one before is multiplied
override FETCH: bool = false;    // weights of the next TAPS taps are loaded while those in front of them are held
override LANES: u32 = 256u;      // set by the device: SUBGROUPS of its largest
override SPARE: u32 = 1u;        // set by the device: 1 where subgroups may be smaller

override VECTORS: u32 = SHARES * STEPS * QUADS; // of channels at a time, a chunk
override COLUMNS: u32 = ACROSS * SIDE;
override BESIDE: u32 = ACROSS * SHARES;         // subgroups with the same positions
override BELOW: u32 = SUBGROUPS / BESIDE;       // tiles at a time
// Weights pass through the image's room, before the image. As LINE.
override WEIGHT_QUADS: u32 = select(COLUMNS / 4u, VECTORS, TURNED);
override WEIGHT_LINE: u32 = KEPT * WEIGHT_QUADS + 2u;
override TAP_LINES: u32 = select(4u * VECTORS, COLUMNS, TURNED);
override IMAGE_ROOM: u32 = max(POSITIONS * LINE, TAPS * TAP_LINES * WEIGHT_LINE);
override WEIGHT_VECTORS: u32 = TAPS * TAP_LINES * WEIGHT_QUADS;
// Vectors of them that a lane loads ahead, at most 3.
override WEIGHT_LOADS: u32 = select(0u, min((WEIGHT_VECTORS + LANES - 1u) / LANES, 3u), FETCH);
override SUM_VECTORS: u32 = max((SUBGROUPS + SPARE) * SIDE * QUADS, LANES); // or one a lane
const HELD: u32 = 9u;            // taps whose weights a subgroup holds
alias Weights = array<Right, 18>;

// A matrix of sums of each subgroup on its way out; the last is of those that nobody reads, where there may be such.
var<workgroup> sums: array<vec4<f32>, SUM_VECTORS>;

// What is summed at a time: a chunk of channels and up to HELD taps.
struct Part {
    chunk: u32,
    first_tap: u32,
    last_tap: u32, // the tap after the last
    count: u32,    // of all parts
    weight_scale: f32,
}

// Where a subgroup stands in its workgroup.
struct Rank {
    share: u32,
    across: u32,
    below: u32,
}

// Where the i-th vector of a part's weights from its `t`-th tap on lies; not inside past its last.
fn weight_place(i: u32, part: Part, t: u32, first_column: u32) -> Place {
    let line = i / WEIGHT_QUADS; // tap, and channel or column
    let tap = part.first_tap + t + line / TAP_LINES;
    var at = 0u;
    var inside = tap < part.last_tap;
    if TURNED {
        let column = first_column + line % TAP_LINES;
        let k = part.chunk * VECTORS + i % WEIGHT_QUADS;
        inside = inside && column < params.columns && k < params.channels;
        at = ((params.taps - 1u - tap) * 4u * params.outputs + column) * params.channels + k;
    } else {
        let k = part.chunk * 4u * VECTORS + line % TAP_LINES;
        let column = first_column / 4u + i % WEIGHT_QUADS;
        inside = inside && column < params.outputs && k < 4u * params.channels;
        at = (tap * 4u * params.channels + k) * params.outputs + column;
    }
    return Place(select(0u, at, inside), inside);
}

fn weight_at(i: u32, part: Part, t: u32, first_column: u32) -> vec4<f32> {
    let place = weight_place(i, part, t, first_column);
    return select(vec4(0.0), weights(place.at), place.inside);
}

// As Batch, of weights.
struct Fetched {
    loaded: array<vec4<f32>, 3>,
    inside: u32,
}

fn fetched(t: u32, part: Part, first_column: u32, lane: u32) -> Fetched {
    var batch: Fetched;
    for (var j = 0u; j < WEIGHT_LOADS; j++) {
        let place = weight_place(lane + j * LANES, part, t, first_column);
        batch.loaded[j] = weights(place.at);
        batch.inside |= u32(place.inside) << j;
    }
    return batch;
}

// A matrix of weights: high halves or, `apart` vectors on, low ones.
fn weights_of(t: u32, step: u32, column: u32, apart: u32) -> Right {
    if TURNED {
        return coopLoad<Right>(&image[(t * TAP_LINES + column) * WEIGHT_LINE + step * QUADS + apart], WEIGHT_LINE);
    }
    return coopLoadT<Right>(&image[(t * TAP_LINES + step * SIDE) * WEIGHT_LINE + column / 4u + apart], WEIGHT_LINE);
}

fn put_weight(i: u32, v: vec4<f32>, scale: f32) {
    put_halves(i / WEIGHT_QUADS * WEIGHT_LINE + i % WEIGHT_QUADS, WEIGHT_QUADS, v, scale);
}

// Weights of TAPS taps from the `t`-th of a part on, some of them in `batch`, into the image's room, and those of the next into `batch`;
// called by all lanes.
fn stage(t: u32, part: Part, first_column: u32, lane: u32, batch: ptr<function, Fetched>) {
    workgroupBarrier();
    for (var j = 0u; j < WEIGHT_LOADS; j++) {
        let i = lane + j * LANES;
        if i < WEIGHT_VECTORS {
            let inside = ((*batch).inside & (1u << j)) != 0u;
            put_weight(i, select(vec4(0.0), (*batch).loaded[j], inside), part.weight_scale);
        }
    }
    for (var i = lane + WEIGHT_LOADS * LANES; i < WEIGHT_VECTORS; i += LANES) {
        put_weight(i, weight_at(i, part, t, first_column), part.weight_scale);
    }
    workgroupBarrier();
    if FETCH && t + TAPS < HELD {
        *batch = fetched(t + TAPS, part, first_column, lane);
    }
}

// A tap's weights into registers, out of the room, or with TAPS of 1 through it.
fn hold(
    t: u32,
    part: Part,
    first_column: u32,
    lane: u32,
    rank: Rank,
    batch: ptr<function, Fetched>,
    high_weights: ptr<function, Weights>,
    low_weights: ptr<function, Weights>,
) {
    if TAPS == 1u {
        stage(t, part, first_column, lane, batch);
    }
    let first = rank.share * STEPS;
    (*high_weights)[t] = weights_of(t % TAPS, first, rank.across * SIDE, 0u);
    if SPLIT {
        (*low_weights)[t] = weights_of(t % TAPS, first, rank.across * SIDE, WEIGHT_QUADS);
    }
    if STEPS > 1u {
        (*high_weights)[HELD + t] = weights_of(t % TAPS, first + 1u, rank.across * SIDE, 0u);
        if SPLIT {
            (*low_weights)[HELD + t] = weights_of(t % TAPS, first + 1u, rank.across * SIDE, WEIGHT_QUADS);
        }
    }
}

// A sum with the product of a matrix of the image, which begins at a vector, and one of weights added.
fn add(at: u32, high_weight: Right, low_weight: Right, sum: Sum) -> Sum {
    let whole = coopLoadT<Left>(&image[at], LINE);
    if SPLIT {
        let rest = coopLoadT<Left>(&image[at + VECTORS], LINE);
        return coopMultiplyAdd(whole, high_weight, coopMultiplyAdd(whole, low_weight, coopMultiplyAdd(rest, high_weight, sum)));
    }
    return coopMultiplyAdd(whole, high_weight, sum);
}

// Whether a form has phases.
fn phased() -> bool {
    return TURNED && params.stride > 1u;
}

// The phase of a tap of the weights turned round: twice the parity of the lines that it meets, and that of the pixels.
fn phase_of(t: u32) -> u32 {
    return (t / 3u + 1u) % 2u * 2u + (t % 3u + 1u) % 2u;
}

// A tile's sum with the products of a tap added, if it is of the phase; `position` is the tile's first, in vectors.
fn add_tap(
    t: u32,
    phase: u32,
    position: u32,
    part: Part,
    high_weights: ptr<function, Weights>,
    low_weights: ptr<function, Weights>,
    sum: Sum,
) -> Sum {
    if phased() && phase_of(t) != phase {
        return sum;
    }
    let at = position + shift_of(part.first_tap + t);
    let next = add(at, (*high_weights)[t], (*low_weights)[t], sum);
    if STEPS > 1u {
        return add(at + QUADS, (*high_weights)[HELD + t], (*low_weights)[HELD + t], next);
    }
    return next;
}

// A tile's total with a part's products of a phase added. With split factors of one part the scales are taken out on the way out.
fn product(
    phase: u32,
    tile: u32,
    part: Part,
    rank: Rank,
    unscale: f32,
    high_weights: ptr<function, Weights>,
    low_weights: ptr<function, Weights>,
    total: Sum,
) -> Sum {
    let position = first_position(tile) * LINE + rank.share * STEPS * QUADS;
    var sum = Sum();
    if !SCALED {
        sum = total;
    }
    // Written out, because matrices stay in registers only where their places are known beforehand.
    sum = add_tap(0u, phase, position, part, high_weights, low_weights, sum);
    sum = add_tap(1u, phase, position, part, high_weights, low_weights, sum);
    sum = add_tap(2u, phase, position, part, high_weights, low_weights, sum);
    sum = add_tap(3u, phase, position, part, high_weights, low_weights, sum);
    sum = add_tap(4u, phase, position, part, high_weights, low_weights, sum);
    sum = add_tap(5u, phase, position, part, high_weights, low_weights, sum);
    sum = add_tap(6u, phase, position, part, high_weights, low_weights, sum);
    sum = add_tap(7u, phase, position, part, high_weights, low_weights, sum);
    sum = add_tap(8u, phase, position, part, high_weights, low_weights, sum);
    if SCALED && part.count > 1u {
        return total + sum * unscale;
    }
    return sum;
}

// The sums in `sums`, a matrix of each subgroup, stored by all lanes, which may still read them when it returns: of BELOW tiles from
// `first_tile` on, and of a phase, where there are such.
fn store_sums(block: Block, first_tile: u32, tiles: u32, phase: u32, first_column: u32, scale: f32, lane: u32) {
    // Lines and pixels of the output from a position to the next.
    let apart = select(1u, params.stride, TURNED);
    workgroupBarrier();
    for (var i = lane; i < BELOW * SIDE * ACROSS * QUADS; i += LANES) {
        let quad = i % (ACROSS * QUADS);
        let row = i / (ACROSS * QUADS) % SIDE;
        let below = i / (ACROSS * QUADS * SIDE);
        let spot = spot_of(first_tile + below, row);
        let r = block.image + spot.image;
        let y = spot.line * apart + phase / 2u;
        let x = spot.x * apart + phase % 2u;
        let first_line = block.line * apart;
        let column = first_column / 4u + quad;
        if first_tile + below < tiles && r < params.rows && spot.line < params.band && first_line + y < params.out_height
            && x < params.out_width && column < params.outputs {
            let at = ((below * ACROSS + quad / QUADS) * SHARES * SIDE + row) * QUADS + quad % QUADS;
            var total = sums[at];
            for (var share = 1u; share < SHARES; share++) {
                total += sums[at + share * SIDE * QUADS];
            }
            let own = ((spot.image * params.out_height + y) * params.out_width + x) * params.outputs + column;
            put((block.image * params.out_height + first_line) * params.out_width * params.outputs + own, total * scale);
        }
    }
}

// The outputs of a workgroup: from block `first` on every `step`-th, and the columns from `first_column` on.
fn halo(first: u32, step: u32, first_column: u32, lane: u32, subgroup: u32, sublane: u32) {
    // Subgroups past the last (they are smaller than they may be) compute its matrices again, because matrices ask for
    // uniform control flow.
    let place = min(subgroup, SUBGROUPS - 1u);
    let rank = Rank(place % SHARES, place / SHARES % ACROSS, place / (SHARES * ACROSS));
    let own = min(subgroup, SUBGROUPS + SPARE - 1u) * SIDE * QUADS;
    let tiles = params.images * params.image_tiles;
    let image_count = params.images * params.image_positions * VECTORS;
    let phases = phased();
    // From a sum to the next: tiles, or the phases of one.
    let next = select(BELOW, 0u, phases);
    let phase = u32(phases);
    let round = select(DOWN, 1u, phases) * BELOW; // tiles
    // Whether all subgroups have as many tiles a round: then nothing comes between their products.
    let whole = tiles % round == 0u;
    let chunks = (params.channels + VECTORS - 1u) / VECTORS;
    let parts = chunks * ((params.taps + HELD - 1u) / HELD);

    if SCALED {
        if lane < 4u {
            atomicStore(&peaks[lane], 0u);
        }
        workgroupBarrier();
    }
    var image_turn = 2u;
    var weight_turn = 0u;
    var weight_scale = 1.0;
    var image_scale = 1024.0;
    var high_weights: Weights;
    var low_weights: Weights;
    var batch: Batch;
    if AHEAD {
        batch = image_batch(lane, image_count, 0u, block_of(first));
    }
    for (var turn = 0u; turn < params.turns; turn++) {
        let block = block_of(first + turn * step);
        var s0 = Sum();
        var s1 = Sum();
        var s2 = Sum();
        var s3 = Sum();
        for (var p = 0u; p < parts; p++) {
            let first_tap = p / chunks * HELD;
            var part = Part(p % chunks, first_tap, min(first_tap + HELD, params.taps), parts, weight_scale);
            // Weights of all channels and taps stay for the next block.
            if turn == 0u || parts > 1u {
                var fetched_weights = fetched(0u, part, first_column, lane);
                if SCALED {
                    var most = 0.0;
                    // Four at a time: each load takes long. What is past the last is zero.
                    for (var i = lane; i < HELD * TAP_LINES * WEIGHT_QUADS; i += 4u * LANES) {
                        let a = weight_at(i, part, 0u, first_column);
                        let b = weight_at(i + LANES, part, 0u, first_column);
                        let c = weight_at(i + 2u * LANES, part, 0u, first_column);
                        let d = weight_at(i + 3u * LANES, part, 0u, first_column);
                        most = max(most, max(max(largest(a), largest(b)), max(largest(c), largest(d))));
                    }
                    note_peak(weight_turn, most, sublane);
                    workgroupBarrier();
                    weight_scale = scale_of(atomicLoad(&peaks[weight_turn]));
                    part.weight_scale = weight_scale;
                    weight_turn = 1u - weight_turn;
                    if lane == 0u {
                        // All have read it, a part ago.
                        atomicStore(&peaks[weight_turn], 0u);
                    }
                }
                if TAPS > 1u {
                    stage(0u, part, first_column, lane, &fetched_weights);
                }
                hold(0u, part, first_column, lane, rank, &fetched_weights, &high_weights, &low_weights);
                hold(1u, part, first_column, lane, rank, &fetched_weights, &high_weights, &low_weights);
                hold(2u, part, first_column, lane, rank, &fetched_weights, &high_weights, &low_weights);
                if TAPS == 3u {
                    stage(3u, part, first_column, lane, &fetched_weights);
                }
                hold(3u, part, first_column, lane, rank, &fetched_weights, &high_weights, &low_weights);
                hold(4u, part, first_column, lane, rank, &fetched_weights, &high_weights, &low_weights);
                hold(5u, part, first_column, lane, rank, &fetched_weights, &high_weights, &low_weights);
                if TAPS == 3u {
                    stage(6u, part, first_column, lane, &fetched_weights);
                }
                hold(6u, part, first_column, lane, rank, &fetched_weights, &high_weights, &low_weights);
                hold(7u, part, first_column, lane, rank, &fetched_weights, &high_weights, &low_weights);
                hold(8u, part, first_column, lane, rank, &fetched_weights, &high_weights, &low_weights);
                workgroupBarrier();
            }
            if !AHEAD {
                batch = image_batch(lane, image_count, part.chunk * VECTORS, block);
            }
            var most = 0.0;
            for (var j = 0u; j < IMAGE_LOADS; j++) {
                let i = lane + j * LANES;
                if i < image_count {
                    if SCALED {
                        most = max(most, largest(of_batch(batch, j)));
                    }
                    put_batch(image_place(i), batch, j, image_scale);
                }
            }
            for (var i = lane + IMAGE_LOADS * LANES; i < image_count; i += LANES) {
                let v = image_at(i, image_count, part.chunk * VECTORS, block);
                if SCALED {
                    most = max(most, largest(v));
                }
                put_halves(image_place(i), VECTORS, v, image_scale);
            }
            if SCALED {
                note_peak(image_turn, most, sublane);
            }
            workgroupBarrier();
            if SCALED {
                let wanted = next_scale(atomicLoad(&peaks[image_turn]), image_scale, true);
                image_turn = 5u - image_turn;
                if lane == 0u {
                    // All have read it, a part ago.
                    atomicStore(&peaks[image_turn], 0u);
                }
                if wanted != image_scale {
                    image_scale = wanted;
                    for (var i = lane; i < image_count; i += LANES) {
                        put_halves(image_place(i), VECTORS, image_at(i, image_count, part.chunk * VECTORS, block), image_scale);
                    }
                    workgroupBarrier();
                }
            }

            let last = p + 1u == parts;
            if AHEAD {
                // Past the last block it is zero.
                let next_chunk = select((p + 1u) % chunks, 0u, last) * VECTORS;
                batch = image_batch(lane, image_count, next_chunk, block_of(first + (turn + u32(last)) * step));
            }
            let unscale = (1.0 / image_scale) * (1.0 / weight_scale);
            // One round where there are more parts than one: then sums stay in registers till the last.
            for (var base = 0u; base < tiles; base += round) {
                let tile = base + rank.below;
                if whole || tile < tiles {
                    s0 = product(0u, tile, part, rank, unscale, &high_weights, &low_weights, s0);
                }
                if (phases || DOWN > 1u) && (whole || tile + next < tiles) {
                    s1 = product(phase, tile + next, part, rank, unscale, &high_weights, &low_weights, s1);
                }
                if phases || DOWN > 2u {
                    if whole || tile + 2u * next < tiles {
                        s2 = product(2u * phase, tile + 2u * next, part, rank, unscale, &high_weights, &low_weights, s2);
                    }
                    if whole || tile + 3u * next < tiles {
                        s3 = product(3u * phase, tile + 3u * next, part, rank, unscale, &high_weights, &low_weights, s3);
                    }
                }
                if !last {
                    // The image's room is written again.
                    workgroupBarrier();
                    continue;
                }
                let scale = select(1.0, unscale, SCALED && parts == 1u);
                if base > 0u {
                    workgroupBarrier(); // before the first round all have met since sums were read
                }
                coopStoreT(s0, &sums[own], QUADS);
                store_sums(block, base, tiles, 0u, first_column, scale, lane);
                s0 = Sum();
                if (phases || DOWN > 1u) && base + next < tiles {
                    workgroupBarrier();
                    coopStoreT(s1, &sums[own], QUADS);
                    store_sums(block, base + next, tiles, phase, first_column, scale, lane);
                    s1 = Sum();
                }
                if (phases || DOWN > 2u) && base + 2u * next < tiles {
                    workgroupBarrier();
                    coopStoreT(s2, &sums[own], QUADS);
                    store_sums(block, base + 2u * next, tiles, 2u * phase, first_column, scale, lane);
                    s2 = Sum();
                }
                if (phases || DOWN > 2u) && base + 3u * next < tiles {
                    workgroupBarrier();
                    coopStoreT(s3, &sums[own], QUADS);
                    store_sums(block, base + 3u * next, tiles, 3u * phase, first_column, scale, lane);
                    s3 = Sum();
                }
            }
        }
    }
}
