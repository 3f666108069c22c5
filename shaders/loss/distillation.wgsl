// Distillation loss of each row: Kullback-Leibler divergence of the student from a constant teacher, softened by T.
//
//   loss[r] = T^2 * sum_n q[r, n] * (log q[r, n] - log p[r, n]),   q = softmax(teacher / T),   p = softmax(student / T)
//   0 where labels[r] says "ignore"
//
// Shapes     student, teacher (B, N), labels (B) -> loss (B)
// Dispatch   one workgroup a row, folded into y past 65535; its lanes stride over N
// Shared     WIDTH f32, reused for two maxima and three sums
// Order      each lane folds its own columns in rising order, then a tree over lanes: the same bits every run
// Paper      SLA+SD: KL(P_agg || single); Hinton's T^2 keeps the gradient's size

struct Params {
    rows: u32,        // B
    columns: u32,     // N
    stride: u32,      // N padded
    temperature: f32, // T
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> student: array<f32>;     // (B, N)
@group(0) @binding(2) var<storage, read> teacher: array<f32>;     // (B, N)
@group(0) @binding(3) var<storage, read> labels: array<u32>;      // (B)
@group(0) @binding(4) var<storage, read_write> loss: array<f32>;  // (B)

override WIDTH: u32 = 64u; // lanes a row; a power of two, at least 4

const IGNORED: u32 = 0xffffffffu;

var<workgroup> partial: array<f32, WIDTH>;

@compute @workgroup_size(WIDTH)
fn distillation(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= params.rows {
        return;
    }
    let first = row * params.stride;
    let soften = 1.0 / params.temperature;

    var high_student = LOWEST;
    var high_teacher = LOWEST;
    for (var n = lane; n < params.columns; n += WIDTH) {
        high_student = max(high_student, student[first + n]);
        high_teacher = max(high_teacher, teacher[first + n]);
    }
    partial[lane] = high_student;
    fold_maximum(lane);
    high_student = partial[0];
    workgroupBarrier(); // every lane has read the value before the next fold overwrites it
    partial[lane] = high_teacher;
    fold_maximum(lane);
    high_teacher = partial[0];
    workgroupBarrier();

    var total_student = 0.0;
    var total_teacher = 0.0;
    for (var n = lane; n < params.columns; n += WIDTH) {
        total_student += exp((student[first + n] - high_student) * soften);
        total_teacher += exp((teacher[first + n] - high_teacher) * soften);
    }
    partial[lane] = total_student;
    fold_sum(lane);
    total_student = partial[0];
    workgroupBarrier();
    partial[lane] = total_teacher;
    fold_sum(lane);
    total_teacher = partial[0];
    workgroupBarrier();

    var total = 0.0;
    let offset = log(total_teacher) - log(total_student);
    for (var n = lane; n < params.columns; n += WIDTH) {
        let above_teacher = (teacher[first + n] - high_teacher) * soften;
        let above_student = (student[first + n] - high_student) * soften;
        total += exp(above_teacher) / total_teacher * (above_teacher - above_student - offset);
    }
    partial[lane] = total;
    fold_sum(lane);
    if lane == 0u {
        let scaled = params.temperature * params.temperature * partial[0];
        loss[row] = select(0.0, scaled, labels[row] != IGNORED);
    }
    // The last row's group also clears the pads of the losses.
    let padded = (params.rows + 3u) / 4u * 4u;
    if row + 1u == params.rows && lane > 0u && row + lane < padded {
        loss[row + lane] = 0.0;
    }
}
