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
override POSITIONS: u32 = 240u;  // room for positions
override LANES: u32 = 128u;      // set by the device: SUBGROUPS of its largest

override VECTORS: u32 = QUADS;   // of channels at a time
override COLUMNS: u32 = ACROSS * SIDE;
// As LINE.
override WEIGHT_LINE: u32 = select(COLUMNS / 4u + 2u, LINE, TURNED);
override WEIGHT_LINES: u32 = TAPS * select(SIDE, COLUMNS, TURNED);
override IMAGE_VECTORS: u32 = POSITIONS * LINE;
override WEIGHT_VECTORS: u32 = WEIGHT_LINES * WEIGHT_LINE;
// Where none is needed 16 bytes, so that what follows begins at a multiple of them.
override LOW_IMAGE: u32 = select(2u, IMAGE_VECTORS, SPLIT);
override LOW_WEIGHTS: u32 = select(2u, WEIGHT_VECTORS, SPLIT);
override SUM_VECTORS: u32 = (SUBGROUPS + 1u) * SIDE * QUADS;

var<workgroup> image_high: array<vec4<f16>, IMAGE_VECTORS>;
var<workgroup> image_low: array<vec4<f16>, LOW_IMAGE>;
var<workgroup> weight_high: array<vec4<f16>, WEIGHT_VECTORS>;
var<workgroup> weight_low: array<vec4<f16>, LOW_WEIGHTS>;
// A matrix of sums of each subgroup on its way out; the last is of those that nobody reads.
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
        return Place(line * WEIGHT_LINE + i % QUADS, select(0u, at, inside), inside);
    }
    let across = COLUMNS / 4u;
    let line = i / across; // tap and channel
    let own = tap + line / SIDE;
    let k = chunk * SIDE + line % SIDE;
    let column = first_column / 4u + i % across;
    let inside = own < params.taps && column < params.outputs && k < 4u * params.channels;
    let at = (own * 4u * params.channels + k) * params.outputs + column;
    return Place(line * WEIGHT_LINE + i % across, select(0u, at, inside), inside);
}

fn load_weights(i: u32, chunk: u32, tap: u32, first_column: u32) -> vec4<f32> {
    let place = weight_place(i, chunk, tap, first_column);
    return select(vec4(0.0), weights(place.at), place.inside);
}

fn load_image(place: Place) -> vec4<f32> {
    return select(vec4(0.0), source(place.at), place.inside);
}

// The sums of one tile, stored by all lanes: `down` and `across` within a subgroup's own.
fn store_sums(first_image: u32, first_line: u32, first_column: u32, down: u32, across: u32, lane: u32) {
    workgroupBarrier();
    for (var i = lane; i < SUBGROUPS * SIDE * QUADS; i += LANES) {
        let tile = i / (SIDE * QUADS) * DOWN + down;
        let image = first_image + tile / params.image_tiles;
        let own = tile % params.image_tiles;
        let row = i / QUADS % SIDE;
        var line = 0u;
        var x = 0u;
        if params.line_tiles > 0u {
            line = own / params.line_tiles;
            x = own % params.line_tiles * SIDE + row;
        } else {
            line = (own * SIDE + row) / params.pitch;
            x = (own * SIDE + row) % params.pitch;
        }
        let y = first_line + line;
        let column = first_column / 4u + across * QUADS + i % QUADS;
        if tile < params.images * params.image_tiles && image < params.rows && line < params.band
            && y < params.out_height && x < params.out_width && column < params.outputs {
            put(((image * params.out_height + y) * params.out_width + x) * params.outputs + column, sums[i]);
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

// The outputs of a workgroup: `block` counts bands of lines (or several whole images), `first_column` outputs.
fn halo(block: u32, first_column: u32, lane: u32, subgroup: u32, sublane: u32) {
    let first_image = block / params.bands * params.images;
    let first_line = block % params.bands * params.band;
    // Subgroups past the last (they are smaller than they may be) compute its matrices again, because matrices ask for
    // uniform control flow.
    let place = min(subgroup, SUBGROUPS - 1u);
    let last = params.images * params.image_tiles - 1u;
    let above = first_position(min(place * DOWN, last)) * LINE;
    let below = first_position(min(place * DOWN + DOWN - 1u, last)) * LINE;
    let image_vectors = params.images * params.image_positions * QUADS;
    let weight_vectors = select(WEIGHT_LINES * COLUMNS / 4u, WEIGHT_LINES * QUADS, TURNED);

    var s00 = Sum();
    var s01 = Sum();
    var s02 = Sum();
    var s03 = Sum();
    var s10 = Sum();
    var s11 = Sum();
    var s12 = Sum();
    var s13 = Sum();
    if SPLIT {
        if lane < 4u {
            atomicStore(&peaks[lane], 0u);
        }
        workgroupBarrier();
    }
    var turn = 0u;
    for (var chunk = 0u; chunk * QUADS < params.channels; chunk++) {
        if SPLIT {
            var most = 0.0;
            for (var i = lane; i < image_vectors; i += LANES) {
                most = max(most, largest(load_image(place_of(i, chunk * QUADS, first_image, first_line))));
            }
            most = subgroupMax(most);
            if sublane == 0u {
                atomicMax(&peaks[2], bitcast<u32>(most));
            }
        }
        workgroupBarrier();
        var image_scale = 1.0;
        if SPLIT {
            image_scale = scale_of(atomicLoad(&peaks[2]));
        }
        for (var i = lane; i < image_vectors; i += LANES) {
            let own = place_of(i, chunk * QUADS, first_image, first_line);
            let v = load_image(own);
            if SPLIT {
                let scaled = v * image_scale;
                let upper = high(scaled);
                image_high[own.own] = vec4<f16>(upper);
                image_low[own.own] = vec4<f16>(scaled - upper);
            } else {
                image_high[own.own] = vec4<f16>(v);
            }
        }
        for (var tap = 0u; tap < params.taps; tap += TAPS) {
            if SPLIT {
                var most = 0.0;
                for (var i = lane; i < weight_vectors; i += LANES) {
                    most = max(most, largest(load_weights(i, chunk, tap, first_column)));
                }
                most = subgroupMax(most);
                if sublane == 0u {
                    atomicMax(&peaks[turn], bitcast<u32>(most));
                }
            }
            workgroupBarrier();
            var weight_scale = 1.0;
            if SPLIT {
                weight_scale = scale_of(atomicLoad(&peaks[turn]));
                turn = 1u - turn;
                if lane == 0u {
                    // All have read these: the next ones begin at zero.
                    atomicStore(&peaks[turn], 0u);
                    atomicStore(&peaks[2], 0u);
                }
            }
            for (var i = lane; i < weight_vectors; i += LANES) {
                let own = weight_place(i, chunk, tap, first_column);
                let v = select(vec4(0.0), weights(own.at), own.inside);
                if SPLIT {
                    let scaled = v * weight_scale;
                    let upper = high(scaled);
                    weight_high[own.own] = vec4<f16>(upper);
                    weight_low[own.own] = vec4<f16>(scaled - upper);
                } else {
                    weight_high[own.own] = vec4<f16>(v);
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
            let some = min(TAPS, params.taps - tap);
            for (var t = 0u; t < some; t++) {
                let shift = ((tap + t) / params.kernel_width * params.pitch + (tap + t) % params.kernel_width) * LINE;
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

    let own = min(subgroup, SUBGROUPS) * SIDE * QUADS;
    coopStoreT(s00, &sums[own], QUADS);
    store_sums(first_image, first_line, first_column, 0u, 0u, lane);
    if ACROSS > 1u {
        coopStoreT(s01, &sums[own], QUADS);
        store_sums(first_image, first_line, first_column, 0u, 1u, lane);
    }
    if ACROSS > 2u {
        coopStoreT(s02, &sums[own], QUADS);
        store_sums(first_image, first_line, first_column, 0u, 2u, lane);
        coopStoreT(s03, &sums[own], QUADS);
        store_sums(first_image, first_line, first_column, 0u, 3u, lane);
    }
    if DOWN > 1u {
        coopStoreT(s10, &sums[own], QUADS);
        store_sums(first_image, first_line, first_column, 1u, 0u, lane);
        if ACROSS > 1u {
            coopStoreT(s11, &sums[own], QUADS);
            store_sums(first_image, first_line, first_column, 1u, 1u, lane);
        }
        if ACROSS > 2u {
            coopStoreT(s12, &sums[own], QUADS);
            store_sums(first_image, first_line, first_column, 1u, 2u, lane);
            coopStoreT(s13, &sums[own], QUADS);
            store_sums(first_image, first_line, first_column, 1u, 3u, lane);
        }
    }
}
