// The K largest values of each row so far, and where they were: matrices that are too wide come window by window.
//
//   (values, places)[r] = the first K of  old (values, places)[r]  and  { (x[r, n], base + n) : n < N },
//   ordered by falling value, of equal values by rising place. What is not finite is passed over.
//   A place that is not filled yet is NONE, its value LOWEST.
//
// Shapes     x (R, N) -> values (R, K), places (R, K), unsigned; K at most MOST
// Dispatch   one workgroup a row, folded into y past 65535; its lanes stride over columns first..end in vec4
// Shared     2·MOST f32, 2·MOST u32, 2·512 f32, 2·512 u32, WIDTH u32, 1 u32: 12.5 KiB at most
// Order      a total order on (value, place): the answer does not depend on the order of work
//
// Each lane gathers what beats the K-th best into slots of its own until they are full or its columns end. Then the
// lanes sort the new entries by counting for each how many stand before it, and find the place of each old and new
// entry in the merged list by binary search in the other. So barriers come with each such round alone, and the rounds
// get longer as the K-th best rises.

struct Params {
    rows: u32,       // R
    first: u32,      // first vec4 of a row of x that is read
    end: u32,        // first vec4 that is not
    columns: u32,    // N
    quads: u32,      // vec4s in a row of x
    count: u32,      // K
    out_stride: u32, // K padded
    base: u32,       // place of column 0
    fresh: u32,      // 1: the old lists are empty, whatever is in memory
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;           // (R, N)
@group(0) @binding(2) var<storage, read_write> values: array<f32>;      // (R, K)
@group(0) @binding(3) var<storage, read_write> places: array<u32>;      // (R, K)

override WIDTH: u32 = 64u; // lanes a row; a power of two, 4 to 64

const MOST: u32 = 256u;  // largest K
const SLOTS: u32 = 8u;   // of a lane: two vec4
const QUADS: u32 = 128u; // vec4 of the slots of the most lanes
const ALL: u32 = 512u;   // slots of the most lanes
const NONE: u32 = 0xffffffffu;
const LOWEST: f32 = -3.4028234e38;
const EXPONENT: u32 = 0x7f800000u;

var<workgroup> best: array<f32, MOST>;
var<workgroup> place: array<u32, MOST>;
var<workgroup> next: array<f32, MOST>;
var<workgroup> next_place: array<u32, MOST>;
var<workgroup> slot: array<vec4<f32>, QUADS>;
var<workgroup> slot_place: array<vec4<u32>, QUADS>;
var<workgroup> sorted: array<f32, ALL>;
var<workgroup> sorted_place: array<u32, ALL>;
var<workgroup> going: array<u32, WIDTH>;
var<workgroup> unfinished: u32;

// Which of four slots stand before an entry. An empty slot stands before none.
fn before(quad: u32, value: f32, at: u32) -> vec4<u32> {
    let other = slot[quad];
    let here = vec4(value);
    let earlier = (other > here) | ((other == here) & (slot_place[quad] < vec4(at)));
    return select(vec4(0u), vec4(1u), earlier);
}

// How many of the new entries in their slots stand before this one.
fn rank_among_new(value: f32, at: u32) -> u32 {
    var count = vec4(0u);
    for (var other = 0u; other < WIDTH; other++) {
        count += before(2u * other, value, at) + before(2u * other + 1u, value, at);
    }
    return count.x + count.y + count.z + count.w;
}

// How many of the sorted new entries stand before this one.
fn new_before(value: f32, at: u32) -> u32 {
    var low = 0u;
    var high = SLOTS * WIDTH;
    while low < high {
        let middle = (low + high) / 2u;
        if sorted[middle] > value || (sorted[middle] == value && sorted_place[middle] < at) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return low;
}

// How many of the old entries stand before this one: they are in order.
fn old_before(value: f32, at: u32) -> u32 {
    var low = 0u;
    var high = params.count;
    while low < high {
        let middle = (low + high) / 2u;
        if best[middle] > value || (best[middle] == value && place[middle] < at) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return low;
}

@compute @workgroup_size(WIDTH)
fn top_k(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= params.rows {
        return;
    }
    let first = row * params.out_stride;
    for (var i = lane; i < params.count; i += WIDTH) {
        if params.fresh == 1u {
            best[i] = LOWEST;
            place[i] = NONE;
        } else {
            best[i] = values[first + i];
            place[i] = places[first + i];
        }
    }
    workgroupBarrier();
    var quad = params.first + lane;
    loop {
        let threshold = best[params.count - 1u];
        for (var half = 2u * lane; half < 2u * lane + 2u; half++) {
            slot[half] = vec4(LOWEST);
            slot_place[half] = vec4(NONE);
        }
        for (var i = lane; i < SLOTS * WIDTH; i += WIDTH) {
            sorted[i] = LOWEST;
            sorted_place[i] = NONE;
        }
        var mine = 0u;
        while quad < params.end && mine + 4u <= SLOTS {
            let four = x[row * params.quads + quad];
            // An equal value stands behind those that are there: columns come in rising order.
            let some = select(0u, 4u, any(four > vec4(threshold)));
            for (var c = 0u; c < some; c++) {
                let n = 4u * quad + c;
                let value = four[c];
                if n < params.columns && value > threshold && (bitcast<u32>(value) & EXPONENT) != EXPONENT {
                    slot[2u * lane + mine / 4u][mine % 4u] = value;
                    slot_place[2u * lane + mine / 4u][mine % 4u] = params.base + n;
                    mine++;
                }
            }
            quad += WIDTH;
        }
        // Lanes stop at different columns, so every lane tells for itself.
        going[lane] = select(0u, 1u, quad < params.end);
        workgroupBarrier();
        for (var j = 0u; j < mine; j++) {
            let value = slot[2u * lane + j / 4u][j % 4u];
            let at = slot_place[2u * lane + j / 4u][j % 4u];
            let among = rank_among_new(value, at);
            sorted[among] = value;
            sorted_place[among] = at;
            let rank = among + old_before(value, at);
            if rank < params.count {
                next[rank] = value;
                next_place[rank] = at;
            }
        }
        workgroupBarrier();
        for (var i = lane; i < params.count; i += WIDTH) {
            let rank = i + new_before(best[i], place[i]);
            if rank < params.count {
                next[rank] = best[i];
                next_place[rank] = place[i];
            }
        }
        if lane == 0u {
            unfinished = 0u;
            for (var other = 0u; other < WIDTH; other++) {
                unfinished |= going[other];
            }
        }
        workgroupBarrier();
        for (var i = lane; i < params.count; i += WIDTH) {
            best[i] = next[i];
            place[i] = next_place[i];
        }
        if workgroupUniformLoad(&unfinished) == 0u {
            break;
        }
    }
    for (var i = lane; i < params.out_stride; i += WIDTH) {
        values[first + i] = select(0.0, best[min(i, MOST - 1u)], i < params.count);
        places[first + i] = select(0u, place[min(i, MOST - 1u)], i < params.count);
    }
}
