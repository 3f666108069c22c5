// The sum of an output's parts by SHARES lanes: the body of sum_parts where lanes share, and of sum_part_lists. Appended after a
// kernel with the bindings `part` and `out`, `override WIDTH, SHARES`, and `var<workgroup> sums: array<vec4<f32>, WIDTH>`.

override ACROSS: u32 = WIDTH / SHARES; // outputs a workgroup

// Output `to` is the sum of `parts` vectors from `first` on, `count` apart; called by all lanes, of which every ACROSS-th has the same
// output, none where `inside` is false.
fn sum_shared(first: u32, count: u32, parts: u32, to: u32, inside: bool, lane: u32) {
    var a = vec4(0.0);
    var b = vec4(0.0);
    var c = vec4(0.0);
    var d = vec4(0.0);
    if inside {
        let hop = SHARES * count;
        var g = lane / ACROSS;
        for (; g + 3u * SHARES < parts; g += 4u * SHARES) {
            let at = first + g * count;
            a += part[at];
            b += part[at + hop];
            c += part[at + 2u * hop];
            d += part[at + 3u * hop];
        }
        if g < parts { a += part[first + g * count]; }
        if g + SHARES < parts { b += part[first + (g + SHARES) * count]; }
        if g + 2u * SHARES < parts { c += part[first + (g + 2u * SHARES) * count]; }
    }
    sums[lane] = (a + b) + (c + d);
    workgroupBarrier();
    if lane < ACROSS && inside {
        var sum = sums[lane];
        for (var share = 1u; share < SHARES; share++) {
            sum += sums[share * ACROSS + lane];
        }
        out[to] = sum;
    }
}
