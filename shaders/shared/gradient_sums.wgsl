// Column sums of a gradient, plain and against values less their mean, over the rows of one lane: what batch_norm_sums and
// batch_norm_residual_sums add. Appended after a kernel that declares `params.tile` and `params.quads`, `override WIDTH, LOADS`,
// the values `x`, `fn gradient(i: u32) -> vec4<f32>`, and `fn keep(i: u32, value: vec4<f32>)` for what becomes of it besides.
// Rows start, start + lanes, ... before end, in rising order in LOADS interleaved sums.

struct Sums {
    plain: vec4<f32>,
    against: vec4<f32>,
}

fn add_rows(start: u32, end: u32, column: u32, mean: vec4<f32>) -> Sums {
    let lanes = WIDTH / params.tile;
    let hop = lanes * params.quads;
    var plain_a = vec4(0.0);
    var plain_b = vec4(0.0);
    var plain_c = vec4(0.0);
    var plain_d = vec4(0.0);
    var against_a = vec4(0.0);
    var against_b = vec4(0.0);
    var against_c = vec4(0.0);
    var against_d = vec4(0.0);
    var row = start;
    if LOADS == 4u {
        for (; row + 3u * lanes < end; row += 4u * lanes) {
            let i = row * params.quads + column;
            let u_a = gradient(i);
            let u_b = gradient(i + hop);
            let u_c = gradient(i + 2u * hop);
            let u_d = gradient(i + 3u * hop);
            let x_a = x[i];
            let x_b = x[i + hop];
            let x_c = x[i + 2u * hop];
            let x_d = x[i + 3u * hop];
            plain_a += u_a;
            plain_b += u_b;
            plain_c += u_c;
            plain_d += u_d;
            against_a = fma(u_a, x_a - mean, against_a);
            against_b = fma(u_b, x_b - mean, against_b);
            against_c = fma(u_c, x_c - mean, against_c);
            against_d = fma(u_d, x_d - mean, against_d);
            keep(i, u_a);
            keep(i + hop, u_b);
            keep(i + 2u * hop, u_c);
            keep(i + 3u * hop, u_d);
        }
    }
    for (; row + lanes < end; row += 2u * lanes) {
        let i = row * params.quads + column;
        let u_a = gradient(i);
        let u_b = gradient(i + hop);
        plain_a += u_a;
        plain_b += u_b;
        against_a = fma(u_a, x[i] - mean, against_a);
        against_b = fma(u_b, x[i + hop] - mean, against_b);
        keep(i, u_a);
        keep(i + hop, u_b);
    }
    if row < end {
        let i = row * params.quads + column;
        let u_a = gradient(i);
        plain_a += u_a;
        against_a = fma(u_a, x[i] - mean, against_a);
        keep(i, u_a);
    }
    return Sums((plain_a + plain_b) + (plain_c + plain_d), (against_a + against_b) + (against_c + against_d));
}
