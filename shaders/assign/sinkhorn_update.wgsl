// The clusters' half of a Sinkhorn iteration, with momentum: new scaling from the masses that a pass has summed.
//
//   w[k] = y[k] + log(b[k] / q[k]),                          q[k] = mass[k] / N at the scaling y
//   y'[k] = w[k] + beta · (w[k] - w_before[k]),              beta = (c - 1) / (c + 2) at the c-th step since a restart
//   restart (beta = 0) where sum_k (q[k] - b[k]) · (w[k] - w_before[k]) > 0: the step would lead uphill
//   where q[k] underflows, log q[k] is taken as the largest log share of the cluster, and momentum rests
//
// The state keeps the best scaling seen, and says when to stop: error within the tolerance, no new best for `patience`
// iterations, or the cap. Once stopped, nothing changes any more.
//
// Shapes     mass (K), tops (slabs, K), targets (K) -> clusters (4, K) updated: y, w_before, best y, best q / b;
//            state (8) updated: iterations, c, stopped (1 converged, 2 no progress, 3 cap), underflow (0 or 1), error,
//            best error, iteration of the best, restarts
// Dispatch   one workgroup; its lanes stride over the clusters
// Shared     3 · WIDTH f32
// Order      each lane folds its own clusters in rising order, then a tree over lanes: the same bits every run
// Paper      SeLa eq. 8; momentum: Nesterov, restarts: O'Donoghue and Candes 2015

struct Params {
    quads: u32,      // vec4 a row
    columns: u32,    // K
    slabs: u32,      // rows of tops that hold something; 0: no tops
    cap: u32,        // most iterations
    patience: u32,   // iterations without a new best
    samples: f32,    // N
    tolerance: f32,  // of the largest |q / b - 1|
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> mass: array<f32>;           // (K), sums of shares
@group(0) @binding(2) var<storage, read> tops: array<f32>;           // (slabs, K)
@group(0) @binding(3) var<storage, read> targets: array<f32>;        // (K), b
@group(0) @binding(4) var<storage, read_write> clusters: array<f32>; // (4, K)
@group(0) @binding(5) var<storage, read_write> state: array<f32>;    // (8)

override WIDTH: u32 = 64u; // lanes; a power of two

const TINY: f32 = 1e-15; // a smaller mass may be a sum of shares that were held above zero, or underflowed
const ITERATIONS: u32 = 0u;
const STEPS: u32 = 1u;
const STOPPED: u32 = 2u;
const UNDERFLOW: u32 = 3u;
const ERROR: u32 = 4u;
const BEST: u32 = 5u;
const BEST_AT: u32 = 6u;
const RESTARTS: u32 = 7u;

var<workgroup> slopes: array<f32, WIDTH>;
var<workgroup> errors: array<f32, WIDTH>;
var<workgroup> lowest: array<f32, WIDTH>;

// log(b / q) where q can be told, else a jump that makes the cluster's nearest sample its own.
fn step_of(k: u32) -> f32 {
    let q = mass[k] / params.samples;
    if q > TINY {
        return log(targets[k] / q);
    }
    var top = -40.0;
    for (var slab = 0u; slab < params.slabs; slab++) {
        let other = tops[slab * 4u * params.quads + k];
        top = select(max(top, other), other, slab == 0u);
    }
    return log(targets[k]) - min(top - log(params.samples), -34.0);
}

@compute @workgroup_size(WIDTH)
fn sinkhorn_update(@builtin(local_invocation_index) lane: u32) {
    let stride = 4u * params.quads;
    let stopped = u32(state[STOPPED]);
    var iterations = u32(state[ITERATIONS]);
    var steps = u32(state[STEPS]);
    var best = state[BEST];
    var best_at = u32(state[BEST_AT]);
    var restarts = u32(state[RESTARTS]);
    var slope = 0.0;
    var error = 0.0;
    var least = 1.0;
    for (var k = lane; k < params.columns; k += WIDTH) {
        let q = mass[k] / params.samples;
        let b = targets[k];
        slope += (q - b) * (clusters[k] + step_of(k) - clusters[stride + k]);
        error = max(error, abs(q / b - 1.0));
        least = min(least, q);
    }
    slopes[lane] = slope;
    errors[lane] = error;
    lowest[lane] = least;
    for (var width = WIDTH / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width {
            slopes[lane] += slopes[lane + width];
            errors[lane] = max(errors[lane], errors[lane + width]);
            lowest[lane] = min(lowest[lane], lowest[lane + width]);
        }
    }
    workgroupBarrier();
    error = errors[0];
    let underflow = lowest[0] <= TINY;
    let improved = iterations == 0u || error < best;
    let uphill = slopes[0] > 0.0;
    iterations += 1u;
    if improved {
        // Rounding can lower the error by a hair for ever: only a real gain renews the patience.
        if iterations == 1u || error < 0.98 * best {
            best_at = iterations;
        }
        best = error;
    }
    if underflow {
        best_at = iterations;
    }
    var stop = 0u;
    if error <= params.tolerance {
        stop = 1u;
    } else if iterations - best_at >= params.patience {
        stop = 2u;
    } else if iterations >= params.cap {
        stop = 3u;
    }
    if uphill || underflow {
        restarts += select(0u, 1u, steps > 1u);
        steps = 0u;
    }
    steps += 1u;
    let momentum = f32(steps - 1u) / f32(steps + 2u);
    if stopped == 0u {
        for (var k = lane; k < params.columns; k += WIDTH) {
            let y = clusters[k];
            if improved {
                clusters[2u * stride + k] = y;
                clusters[3u * stride + k] = mass[k] / params.samples / targets[k];
            }
            let w = y + step_of(k);
            clusters[k] = w + momentum * (w - clusters[stride + k]);
            clusters[stride + k] = w;
        }
    }
    workgroupBarrier(); // every lane has read the state before one writes it
    if lane == 0u && stopped == 0u {
        state[ITERATIONS] = f32(iterations);
        state[STEPS] = f32(steps);
        state[STOPPED] = f32(stop);
        state[UNDERFLOW] = select(0.0, 1.0, underflow);
        state[ERROR] = error;
        state[BEST] = best;
        state[BEST_AT] = f32(best_at);
        state[RESTARTS] = f32(restarts);
    }
}
