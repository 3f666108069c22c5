// Gradient of the distillation loss by the student's logits, each row weighted by its upstream gradient.
//
//   grad[r, n] = weights[r] * T * (softmax(student / T)[r, n] - softmax(teacher / T)[r, n])
//   0 where labels[r] says "ignore"; the teacher is a constant
//
// Shapes     student, teacher (B, N), labels (B), weights (B) -> grad (B, N)
// Dispatch   one workgroup a row, folded into y past 65535; its lanes stride over N
// Shared     WIDTH f32, reused for two maxima and two sums
// Order      each lane folds its own columns in rising order, then a tree over lanes: the same bits every run
// Paper      SLA+SD: KL(P_agg || single)

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
@group(0) @binding(4) var<storage, read> weights: array<f32>;     // (B)
@group(0) @binding(5) var<storage, read_write> grad: array<f32>;  // (B, N)

override WIDTH: u32 = 64u; // lanes a row; a power of two

const IGNORED: u32 = 0xffffffffu;

var<workgroup> partial: array<f32, WIDTH>;

@compute @workgroup_size(WIDTH)
fn distillation_grad(
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

    let weight = weights[row] * params.temperature;
    let counts = labels[row] != IGNORED;
    for (var n = lane; n < params.stride; n += WIDTH) {
        var value = 0.0;
        if counts && n < params.columns {
            let p = exp((student[first + n] - high_student) * soften) / total_student;
            let q = exp((teacher[first + n] - high_teacher) * soften) / total_teacher;
            value = weight * (p - q);
        }
        grad[first + n] = value;
    }
}
