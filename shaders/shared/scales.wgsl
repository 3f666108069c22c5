// Scales of factors on their way into workgroup memory as half-precision numbers: powers of two that take the largest of them to less than
// 2¹⁵, so that factors of any size are as exact. A scale is kept while the largest value comes to 1 or more, of which the last bit of
// a half, 2⁻²⁴, is little (or where sums of larger values stand already). Appended before what uses it.

override SCALED: bool = true; // set by the device: false where factors are rounded that are half-precision numbers already

// Bits of the largest absolute values of what is staged. Four words, because matrices have to begin at multiples of 16 bytes and
// drivers lay such variables one after the other.
var<workgroup> peaks: array<atomic<u32>, 4>;

// The power of two that takes a value of these bits to between 2⁹ and 2¹⁰; at most 2¹²⁶, and 1 for what is not finite.
fn scale_of(bits: u32) -> f32 {
    let exponent = bits >> 23u;
    return select(bitcast<f32>(min(263u - exponent, 253u) << 23u), 1.0, exponent == 255u);
}

// The scale for values whose largest has these bits: the one so far while that takes it to less than 2¹⁵ and, with `grow`, to no less
// than 1, else that which takes it to 2⁹, so that few blocks ask for another.
fn next_scale(bits: u32, scale: f32, grow: bool) -> f32 {
    let scaled = bitcast<f32>(bits) * scale;
    if bits == 0u || (scaled < 32768.0 && (scaled >= 1.0 || !grow)) {
        return scale;
    }
    return scale_of(bits);
}

fn largest(v: vec4<f32>) -> f32 {
    let a = abs(v);
    return max(max(a.x, a.y), max(a.z, a.w));
}

// Tells the workgroup a lane's largest absolute value; others read it after a barrier.
fn note_peak(at: u32, most: f32, sublane: u32) {
    let bits = subgroupMax(bitcast<u32>(most));
    if sublane == 0u {
        atomicMax(&peaks[at], bits);
    }
}

// Two of them, the second in the place after the first.
fn note_peaks(at: u32, first: f32, second: f32, sublane: u32) {
    let first_bits = subgroupMax(bitcast<u32>(first));
    let second_bits = subgroupMax(bitcast<u32>(second));
    if sublane == 0u {
        atomicMax(&peaks[at], first_bits);
        atomicMax(&peaks[at + 1u], second_bits);
    }
}
