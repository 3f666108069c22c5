// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), the same bits as
// src/base/philox.rs: a random number is a function of a key and a counter, whatever the order of work.
// Appended after a kernel that calls it; declares nothing but functions.

// The upper 32 bits of a · b, from 16-bit parts.
fn multiply_high(a: u32, b: u32) -> u32 {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let cross = (a >> 16u) * (b & 0xffffu) + (low >> 16u);              // cannot overflow: (2^16-1)^2 + 2^16-1 < 2^32
    let middle = (a & 0xffffu) * (b >> 16u) + (cross & 0xffffu);
    return (a >> 16u) * (b >> 16u) + (cross >> 16u) + (middle >> 16u);
}

// Four random words for a counter under a key.
fn philox4x32(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    var c = counter;
    var k = key;
    for (var round = 0u; round < 10u; round++) {
        c = vec4(
            multiply_high(c.z, 0xCD9E8D57u) ^ c.y ^ k.x,
            c.z * 0xCD9E8D57u,
            multiply_high(c.x, 0xD2511F53u) ^ c.w ^ k.y,
            c.x * 0xD2511F53u,
        );
        k += vec2(0x9E3779B9u, 0xBB67AE85u);
    }
    return c;
}

// A word as a float in [0, 1): its upper 24 bits, exactly.
fn unit(word: u32) -> f32 {
    return f32(word >> 8u) * 5.9604644775390625e-8;
}

// A word as an integer in [0, n), by multiplication.
fn below(word: u32, n: u32) -> u32 {
    return multiply_high(word, n);
}
