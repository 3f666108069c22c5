// Convolutions of stride 1 on cooperative matrices, with the part of an image that a workgroup needs in workgroup memory
// once for all taps: a band of lines with its border (halo) and zeros outside the image. Positions count through the lines
// of that part, so a tap is a shift of all of them, and 16 neighbouring positions are the rows of a matrix wherever a line
// ends; places that lie in the border are computed in vain. Appended after a kernel with the parameters and bindings of
// conv2d_halo.wgsl, which declares `source(at) -> vec4<f32>`, `weights(at) -> vec4<f32>` and `put(at, value)`, and band.wgsl.

override TURNED: bool = false;   // weights transposed and their taps in reverse: the gradient by the input
override DOWN: u32 = 2u;         // matrices of a subgroup, 1 or 2
override ACROSS: u32 = 1u;       // 1, 2 or 4
override SUBGROUPS: u32 = 4u;    // below one another
override TAPS: u32 = 9u;         // taps whose weights lie in workgroup memory at a time
override LANES: u32 = 128u;      // set by the device: SUBGROUPS of its largest
override SPARE: u32 = 1u;        // set by the device: 1 where subgroups may be smaller

override VECTORS: u32 = QUADS;   // of channels at a time
override COLUMNS: u32 = ACROSS * SIDE;
// As LINE.
override WEIGHT_LINE: u32 = select(COLUMNS / 4u + 2u, LINE, TURNED);
override WEIGHT_LINES: u32 = TAPS * select(SIDE, COLUMNS, TURNED);
override WEIGHT_VECTORS: u32 = WEIGHT_LINES * WEIGHT_LINE;
override LOW_WEIGHTS: u32 = select(2u, WEIGHT_VECTORS, SPLIT);
override SUM_VECTORS: u32 = (SUBGROUPS + SPARE) * SIDE * QUADS;
// As IMAGE_LOADS.
override WEIGHT_LOADS: u32 = min((WEIGHT_LINES * select(COLUMNS / 4u, QUADS, TURNED) + LANES - 1u) / LANES, 8u);

var<workgroup> weight_high: array<vec4<f16>, WEIGHT_VECTORS>;
var<workgroup> weight_low: array<vec4<f16>, LOW_WEIGHTS>;
// A matrix of sums of each subgroup on its way out; the last is of those that nobody reads, where there may be such.
var<workgroup> sums: array<vec4<f32>, SUM_VECTORS>;

// The i-th vector of the weights of TAPS taps from `tap` on.
fn weight_place(i: u32, chunk: u32, tap: u32, first_column: u32) -> Place {
    if TURNED {
        let line = i / QUADS; // tap and column
        let own = tap + line / COLUMNS;
        let column = first_column + line % COLUMNS;
        let k = chunk * QUADS + i % QUADS;
        let inside = own < params.taps && column < params.columns && k < params.channels;
        let at = ((params.taps - 1u - own) * 4u * params.outputs + column) * params.channels + k;
        return Place(at, inside);
    }
    let across = COLUMNS / 4u;
    let line = i / across; // tap and channel
    let own = tap + line / SIDE;
    let k = chunk * SIDE + line % SIDE;
    let column = first_column / 4u + i % across;
    let inside = own < params.taps && column < params.outputs && k < 4u * params.channels;
    let at = (own * 4u * params.channels + k) * params.outputs + column;
    return Place(at, inside);
}

fn weights_of(i: u32, count: u32, chunk: u32, tap: u32, first_column: u32) -> vec4<f32> {
    let place = weight_place(i, chunk, tap, first_column);
    let inside = place.inside && i < count;
    return select(vec4(0.0), weights(select(0u, place.at, inside)), inside);
}

fn weight_batch(lane: u32, count: u32, chunk: u32, tap: u32, first_column: u32) -> Batch {
    var batch: Batch;
    for (var j = 0u; j < WEIGHT_LOADS; j++) {
        batch[j] = weights_of(lane + j * LANES, count, chunk, tap, first_column);
    }
    return batch;
}

fn put_weights(i: u32, v: vec4<f32>, scale: f32) {
    let across = select(COLUMNS / 4u, QUADS, TURNED);
    let at = i / across * WEIGHT_LINE + i % across;
    if SPLIT {
        let scaled = v * scale;
        let upper = high(scaled);
        weight_high[at] = vec4<f16>(upper);
        weight_low[at] = vec4<f16>(scaled - upper);
    } else {
        weight_high[at] = vec4<f16>(v);
    }
}

// The sums in `sums`, a matrix of each subgroup, stored by all lanes: `down` and `across` within a subgroup's own.
fn store_sums(block: Block, first_column: u32, down: u32, across: u32, lane: u32) {
    workgroupBarrier();
    for (var i = lane; i < SUBGROUPS * SIDE * QUADS; i += LANES) {
        let tile = i / (SIDE * QUADS) * DOWN + down;
        let spot = spot_of(tile, i / QUADS % SIDE);
        let image = block.image + spot.image;
        let y = block.line + spot.line;
        let column = first_column / 4u + across * QUADS + i % QUADS;
        if spot.image < params.images && image < params.rows && spot.line < params.band && y < params.out_height
            && spot.x < params.out_width && column < params.outputs {
            put(((image * params.out_height + y) * params.out_width + spot.x) * params.outputs + column, sums[i]);
        }
    }
    workgroupBarrier();
}

// What is left of a matrix of the image; of whole numbers nothing, and nobody asks.
fn low_image(at: u32, whole: Left) -> Left {
    if SPLIT {
        return coopLoadT<Left>(&image_low[at], LINE);
    }
    return whole;
}

// Where the weights of the t-th tap here and of a matrix of columns begin.
fn weights_at(t: u32, across: u32) -> u32 {
    return select(t * SIDE * WEIGHT_LINE + across * QUADS, (t * COLUMNS + across * SIDE) * WEIGHT_LINE, TURNED);
}

fn high_weights(t: u32, across: u32) -> Right {
    if TURNED {
        return coopLoad<Right>(&weight_high[weights_at(t, across)], WEIGHT_LINE);
    }
    return coopLoadT<Right>(&weight_high[weights_at(t, across)], WEIGHT_LINE);
}

fn low_weights(t: u32, across: u32, whole: Right) -> Right {
    if !SPLIT {
        return whole;
    }
    if TURNED {
        return coopLoad<Right>(&weight_low[weights_at(t, across)], WEIGHT_LINE);
    }
    return coopLoadT<Right>(&weight_low[weights_at(t, across)], WEIGHT_LINE);
}

// The outputs of a workgroup: from block `first` on every `step`-th, and the columns from `first_column` on.
fn halo(first: u32, step: u32, first_column: u32, lane: u32, subgroup: u32, sublane: u32) {
    // Subgroups past the last (they are smaller than they may be) compute its matrices again, because matrices ask for
    // uniform control flow.
    let place = min(subgroup, SUBGROUPS - 1u);
    let last = params.images * params.image_tiles - 1u;
    let above = first_position(min(place * DOWN, last)) * LINE;
    let below = first_position(min(place * DOWN + DOWN - 1u, last)) * LINE;
    let image_count = params.images * params.image_positions * QUADS;
    let weight_count = WEIGHT_LINES * select(COLUMNS / 4u, QUADS, TURNED);
    let chunks = (params.channels + QUADS - 1u) / QUADS;
    let own = min(subgroup, SUBGROUPS + SPARE - 1u) * SIDE * QUADS;

    if SPLIT {
        if lane < 4u {
            atomicStore(&peaks[lane], 0u);
        }
        workgroupBarrier();
    }
    var image_turn = 2u;
    var weight_turn = 0u;
    var weight_scale = 1.0;
    for (var round = 0u; round < params.turns; round++) {
        let block = block_of(first + round * step);
        var s00 = Sum();
        var s01 = Sum();
        var s02 = Sum();
        var s03 = Sum();
        var s10 = Sum();
        var s11 = Sum();
        var s12 = Sum();
        var s13 = Sum();
        for (var chunk = 0u; chunk < chunks; chunk++) {
            var image = image_batch(lane, image_count, chunk * QUADS, block);
            if SPLIT {
                var most = 0.0;
                for (var j = 0u; j < IMAGE_LOADS; j++) {
                    most = max(most, largest(image[j]));
                }
                for (var i = lane + IMAGE_LOADS * LANES; i < image_count; i += LANES) {
                    most = max(most, largest(image_at(i, image_count, chunk * QUADS, block)));
                }
                most = subgroupMax(most);
                if sublane == 0u {
                    atomicMax(&peaks[image_turn], bitcast<u32>(most));
                }
            }
            workgroupBarrier();
            var image_scale = 1.0;
            if SPLIT {
                image_scale = scale_of(atomicLoad(&peaks[image_turn]));
                image_turn = 5u - image_turn;
                if lane == 0u {
                    // All have read it: the next one begins at zero.
                    atomicStore(&peaks[image_turn], 0u);
                }
            }
            for (var j = 0u; j < IMAGE_LOADS; j++) {
                let i = lane + j * LANES;
                if i < image_count {
                    put_image(i, image[j], image_scale);
                }
            }
            for (var i = lane + IMAGE_LOADS * LANES; i < image_count; i += LANES) {
                put_image(i, image_at(i, image_count, chunk * QUADS, block), image_scale);
            }
            for (var tap = 0u; tap < params.taps; tap += TAPS) {
                // All weights at once stay for the next block.
                if round == 0u || chunks > 1u || params.taps > TAPS {
                    var next = weight_batch(lane, weight_count, chunk, tap, first_column);
                    if SPLIT {
                        var most = 0.0;
                        for (var j = 0u; j < WEIGHT_LOADS; j++) {
                            most = max(most, largest(next[j]));
                        }
                        for (var i = lane + WEIGHT_LOADS * LANES; i < weight_count; i += LANES) {
                            most = max(most, largest(weights_of(i, weight_count, chunk, tap, first_column)));
                        }
                        most = subgroupMax(most);
                        if sublane == 0u {
                            atomicMax(&peaks[weight_turn], bitcast<u32>(most));
                        }
                    }
                    workgroupBarrier();
                    if SPLIT {
                        weight_scale = scale_of(atomicLoad(&peaks[weight_turn]));
                        weight_turn = 1u - weight_turn;
                        if lane == 0u {
                            atomicStore(&peaks[weight_turn], 0u);
                        }
                    }
                    for (var j = 0u; j < WEIGHT_LOADS; j++) {
                        let i = lane + j * LANES;
                        if i < weight_count {
                            put_weights(i, next[j], weight_scale);
                        }
                    }
                    for (var i = lane + WEIGHT_LOADS * LANES; i < weight_count; i += LANES) {
                        put_weights(i, weights_of(i, weight_count, chunk, tap, first_column), weight_scale);
                    }
                }
                workgroupBarrier();
                var p00 = Sum();
                var p01 = Sum();
                var p02 = Sum();
                var p03 = Sum();
                var p10 = Sum();
                var p11 = Sum();
                var p12 = Sum();
                var p13 = Sum();
                if !SPLIT {
                    p00 = s00;
                    p01 = s01;
                    p02 = s02;
                    p03 = s03;
                    p10 = s10;
                    p11 = s11;
                    p12 = s12;
                    p13 = s13;
                }
                // Past the last tap weights are zero.
                for (var t = 0u; t < TAPS; t++) {
                    let shift = shift_of(tap + t);
                    let h0 = coopLoadT<Left>(&image_high[above + shift], LINE);
                    let l0 = low_image(above + shift, h0);
                    let r0 = high_weights(t, 0u);
                    let m0 = low_weights(t, 0u, r0);
                    p00 = add_product(h0, l0, r0, m0, p00);
                    if ACROSS > 1u {
                        let r1 = high_weights(t, 1u);
                        let m1 = low_weights(t, 1u, r1);
                        p01 = add_product(h0, l0, r1, m1, p01);
                        if ACROSS > 2u {
                            let r2 = high_weights(t, 2u);
                            let m2 = low_weights(t, 2u, r2);
                            p02 = add_product(h0, l0, r2, m2, p02);
                            let r3 = high_weights(t, 3u);
                            let m3 = low_weights(t, 3u, r3);
                            p03 = add_product(h0, l0, r3, m3, p03);
                            if DOWN > 1u {
                                let h1 = coopLoadT<Left>(&image_high[below + shift], LINE);
                                let l1 = low_image(below + shift, h1);
                                p10 = add_product(h1, l1, r0, m0, p10);
                                p11 = add_product(h1, l1, r1, m1, p11);
                                p12 = add_product(h1, l1, r2, m2, p12);
                                p13 = add_product(h1, l1, r3, m3, p13);
                            }
                        } else if DOWN > 1u {
                            let h1 = coopLoadT<Left>(&image_high[below + shift], LINE);
                            let l1 = low_image(below + shift, h1);
                            p10 = add_product(h1, l1, r0, m0, p10);
                            p11 = add_product(h1, l1, r1, m1, p11);
                        }
                    } else if DOWN > 1u {
                        let h1 = coopLoadT<Left>(&image_high[below + shift], LINE);
                        let l1 = low_image(below + shift, h1);
                        p10 = add_product(h1, l1, r0, m0, p10);
                    }
                }
                if SPLIT {
                    let unscale = (1.0 / image_scale) * (1.0 / weight_scale);
                    s00 = s00 + p00 * unscale;
                    s01 = s01 + p01 * unscale;
                    s02 = s02 + p02 * unscale;
                    s03 = s03 + p03 * unscale;
                    s10 = s10 + p10 * unscale;
                    s11 = s11 + p11 * unscale;
                    s12 = s12 + p12 * unscale;
                    s13 = s13 + p13 * unscale;
                } else {
                    s00 = p00;
                    s01 = p01;
                    s02 = p02;
                    s03 = p03;
                    s10 = p10;
                    s11 = p11;
                    s12 = p12;
                    s13 = p13;
                }
            }
        }

        coopStoreT(s00, &sums[own], QUADS);
        store_sums(block, first_column, 0u, 0u, lane);
        if ACROSS > 1u {
            coopStoreT(s01, &sums[own], QUADS);
            store_sums(block, first_column, 0u, 1u, lane);
        }
        if ACROSS > 2u {
            coopStoreT(s02, &sums[own], QUADS);
            store_sums(block, first_column, 0u, 2u, lane);
            coopStoreT(s03, &sums[own], QUADS);
            store_sums(block, first_column, 0u, 3u, lane);
        }
        if DOWN > 1u {
            coopStoreT(s10, &sums[own], QUADS);
            store_sums(block, first_column, 1u, 0u, lane);
            if ACROSS > 1u {
                coopStoreT(s11, &sums[own], QUADS);
                store_sums(block, first_column, 1u, 1u, lane);
            }
            if ACROSS > 2u {
                coopStoreT(s12, &sums[own], QUADS);
                store_sums(block, first_column, 1u, 2u, lane);
                coopStoreT(s13, &sums[own], QUADS);
                store_sums(block, first_column, 1u, 3u, lane);
            }
        }
    }
}
