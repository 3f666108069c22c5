// The body of a Sinkhorn pass over a slab of rows, each score read once. Appended, with quads.wgsl, after a kernel that
// declares `sums (slabs, K)` and
//   fn weights(lane, turn, first, second) -> vec2<f32>
// which gets the lane's own exponents of two rows, changes them to exponentials in place and returns what turns these
// into shares of the row.

// Products of two exponentials no smaller than exp(LEAST) are no denormal numbers, which some processors are slow with;
// what they add to a mass is far below what sinkhorn_update.wgsl takes for one.
const LEAST: f32 = -40.0;

fn exponential(v: vec4<f32>, m: f32) -> vec4<f32> {
    return exp(max(v - m, vec4(LEAST)));
}

fn exponentials(q: Quads, m: f32) -> Quads {
    if QUADS == 1u {
        return Quads(exponential(q.a, m), vec4(0.0), vec4(0.0), vec4(0.0));
    }
    return Quads(exponential(q.a, m), exponential(q.b, m), exponential(q.c, m), exponential(q.d, m));
}

// What turns exponentials relative to `own` into shares of a row with the largest exponent `top` and the sum `sum`.
fn weight(own: vec2<f32>, top: vec2<f32>, sum: vec2<f32>) -> vec2<f32> {
    return exp(max(own - top, vec2(LEAST))) / sum;
}

fn store(slab: u32, quad: u32, value: vec4<f32>) {
    if quad < params.quads {
        sums[(params.first_slab + slab) * params.quads + quad] = select(vec4(0.0), value, valid(quad));
    }
}

fn sinkhorn_slab(slab: u32, lane: u32) {
    let shift = shifts(lane);
    let scaling = scalings(0u, lane);
    var sum = Quads();
    let begin = slab * params.slab;
    let end = min(begin + params.slab, params.rows);
    for (var row = begin; row < end; row += 2u) {
        let pair = row + 1u < end;
        var first = exponents(row, lane, shift, scaling);
        var second = exponents(select(row, row + 1u, pair), lane, shift, scaling);
        var w = weights(lane, ((row - begin) / 2u) % 2u, &first, &second);
        w.y = select(0.0, w.y, pair);
        sum.a += first.a * w.x + second.a * w.y;
        if QUADS > 1u {
            sum.b += first.b * w.x + second.b * w.y;
            sum.c += first.c * w.x + second.c * w.y;
            sum.d += first.d * w.x + second.d * w.y;
        }
    }
    store(slab, lane, sum.a);
    if QUADS > 1u {
        store(slab, lane + WIDTH, sum.b);
        store(slab, lane + 2u * WIDTH, sum.c);
        store(slab, lane + 3u * WIDTH, sum.d);
    }
}
