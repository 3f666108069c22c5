// The focal loss of one softmax probability, exact also where it is close to 1. Appended after a kernel that declares
// `override WIDTH: u32`, `var<workgroup> partial: array<f32, WIDTH>`, `logits` and `params.columns`, before `reduce.wgsl`.

const FLOOR: f32 = 1e-20;

struct Softmax {
    highest: f32,
    others: f32, // sum of exp(x - highest) over all but the largest logits
    total: f32,  // the same over all logits
}

struct Probability {
    p: f32,
    rest: f32,  // 1 - p
    logp: f32,  // log(p + FLOOR)
    ratio: f32, // log(p + FLOOR) / (1 - p), which tends to -1
}

// log(1 + s) / s for 0 <= s < 1: the series of 2 artanh(s / (2 + s)), off by at most 2e-9.
fn log1p_over(s: f32) -> f32 {
    let t = s / (2.0 + s);
    let q = t * t;
    let tail = q * (1.0 / 9.0 + q * (1.0 / 11.0 + q * (1.0 / 13.0 + q * (1.0 / 15.0))));
    return 2.0 / (2.0 + s) * (1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + tail))));
}

// The sums of one row of `logits` from `first` on, known to every lane; all lanes of the workgroup call it.
fn softmax_sums(first: u32, lane: u32) -> Softmax {
    var sums: Softmax;
    sums.highest = LOWEST;
    for (var n = lane; n < params.columns; n += WIDTH) {
        sums.highest = max(sums.highest, logits[first + n]);
    }
    partial[lane] = sums.highest;
    fold_maximum(lane);
    sums.highest = partial[0];
    workgroupBarrier(); // every lane has read the maximum before the sums overwrite it

    for (var n = lane; n < params.columns; n += WIDTH) {
        let e = exp(logits[first + n] - sums.highest);
        sums.total += e;
        sums.others += select(0.0, e, logits[first + n] < sums.highest);
    }
    partial[lane] = sums.total;
    fold_sum(lane);
    sums.total = partial[0];
    workgroupBarrier();
    partial[lane] = sums.others;
    fold_sum(lane);
    sums.others = partial[0];
    return sums;
}

fn probability(logit: f32, row: Softmax) -> Probability {
    var out: Probability;
    let e = exp(logit - row.highest);
    out.p = e / row.total;
    if logit == row.highest && row.total < 2.0 {
        // More likely than all others together: they, and not a difference from 1, say how far from 1 it is.
        let scaled = log1p_over(row.others);
        out.rest = row.others / row.total;
        out.logp = -row.others * scaled;
        out.ratio = -row.total * scaled;
    } else {
        out.rest = (row.total - e) / row.total;
        out.logp = log(out.p + FLOOR);
        if out.p > 1e-12 {
            // The floor is lost in rounding, so the detour over the exponential, which errs more, is not needed.
            out.logp = logit - row.highest - log(row.total);
        }
        out.ratio = out.logp / out.rest;
    }
    return out;
}

// (1 - p)^gamma.
fn modulation(rest: f32, gamma: f32) -> f32 {
    if gamma == 0.0 {
        return 1.0;
    }
    if gamma == 2.0 {
        return rest * rest;
    }
    if rest <= 0.0 {
        return 0.0;
    }
    return pow(rest, gamma);
}

// p f'(p) for f(p) = -(1 - p)^gamma log(p + FLOOR).
fn focal_slope(x: Probability, gamma: f32) -> f32 {
    return modulation(x.rest, gamma) * x.p * (gamma * x.ratio - 1.0 / (x.p + FLOOR));
}
