// Columns of a row that a workgroup's lanes hold in registers: a lane has the quads q, q + WIDTH, q + 2·WIDTH and
// q + 3·WIDTH, or only the first. Appended after a kernel that declares the bindings of shaders/shared/transport.wgsl,
// `override WIDTH: u32` (lanes of a workgroup) and `override QUADS: u32` (1 or 4, vec4 a lane).

struct Quads {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
}

fn highest(q: Quads) -> f32 {
    if QUADS == 1u {
        return largest(q.a);
    }
    return max(max(largest(q.a), largest(q.b)), max(largest(q.c), largest(q.d)));
}

fn shifts(quad: u32) -> Quads {
    return Quads(bias_of(quad), bias_of(quad + WIDTH), bias_of(quad + 2u * WIDTH), bias_of(quad + 3u * WIDTH));
}

fn scalings(place: u32, quad: u32) -> Quads {
    return Quads(
        scaling_of(place, quad),
        scaling_of(place, quad + WIDTH),
        scaling_of(place, quad + 2u * WIDTH),
        scaling_of(place, quad + 3u * WIDTH),
    );
}

fn sum_of(q: Quads) -> f32 {
    if QUADS == 1u {
        return total(q.a);
    }
    return total((q.a + q.b) + (q.c + q.d));
}

// The exponents of one row from a quad on: its scores plus the clusters' scaling.
fn exponents(row: u32, quad: u32, shift: Quads, scaling: Quads) -> Quads {
    let base = row * params.quads;
    let last = params.quads - 1u;
    let m = rows[row].x;
    let a = score(scores[base + min(quad, last)], shift.a - m) + scaling.a;
    if QUADS == 1u {
        return Quads(a, vec4(0.0), vec4(0.0), vec4(0.0));
    }
    return Quads(
        a,
        score(scores[base + min(quad + WIDTH, last)], shift.b - m) + scaling.b,
        score(scores[base + min(quad + 2u * WIDTH, last)], shift.c - m) + scaling.c,
        score(scores[base + min(quad + 3u * WIDTH, last)], shift.d - m) + scaling.d,
    );
}
