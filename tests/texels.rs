//! Inputs that are read from textures: the same bits as from buffers, and copies that are neither stale nor needless.

use relabel::base::{Array, DType, Shape};
use relabel::gpu::texels::{MOST, WIDTH};
use relabel::gpu::{Engine, Program, Recording, Tensor, readback};
use relabel::kernels::{axpby, gather_rows, relu};

use crate::common::{engine, engine_with_memory, own_engine, unchecked_engine};

/// Three rows of a texture and a part of a fourth.
const SIZES: [usize; 2] = [3, 4 * WIDTH as usize + 12];

/// Tensors a, b, c, d, w, and dispatches that read and overwrite all but the last.
fn chain(engine: &Engine, dtype: DType) -> (Vec<Tensor>, Program) {
    let make = |i| engine.upload("chain", &Array::normal(&SIZES, 1.0, i), dtype).unwrap();
    let tensors: Vec<Tensor> = (0..5).map(make).collect();
    let [a, b, c, d, w] = &tensors[..] else { unreachable!("five") };
    let mut recording = Recording::new();
    for (alpha, x, beta, y, out) in [
        (1.0, a, 1.0, b, c),
        (2.0, c, 1.0, a, d),
        (1.0, d, 0.5, b, a),
        (1.0, a, -1.0, c, b),
        (1.0, b, 1.0, a, c),
        (0.5, a, 0.25, w, d),
    ] {
        axpby::record(&mut recording, alpha, x, beta, y, out).unwrap();
    }
    let program = Program::new(engine, &recording).unwrap();
    (tensors, program)
}

fn words(engine: &Engine, tensors: &[Tensor]) -> Vec<Vec<u16>> {
    readback::read_words(engine, &tensors.iter().collect::<Vec<_>>()).unwrap()
}

#[test]
fn textures_hold_what_was_written_last() {
    for dtype in [DType::F32, DType::F16] {
        // Two replays, then the last three dispatches alone: these read a copy that an earlier one made.
        let found = [engine(), unchecked_engine()].map(|engine| {
            let (tensors, program) = chain(&engine, dtype);
            program.run(&engine, 2).unwrap();
            let whole = words(&engine, &tensors);
            program.run_part(&engine, 3..6, 2).unwrap();
            (whole, words(&engine, &tensors))
        });
        assert!(found[0] == found[1], "{dtype:?}");
        assert!(found[0].0 != found[0].1, "the part did nothing");
    }
}

/// A budget holds for textures too: what they do not fit into is computed from buffers, with the same bits.
#[test]
fn without_room_for_textures_inputs_are_read_from_buffers() {
    let (engine, tensors) = (unchecked_engine(), 5 * Shape::new(&SIZES).bytes().next_multiple_of(256));
    let (expected, program) = chain(&engine, DType::F32);
    program.run(&engine, 1).unwrap();
    for (room, textures) in [(tensors + (64 << 10), false), (8 * tensors, engine.reads_textures())] {
        let small = engine_with_memory(room);
        let (found, program) = chain(&small, DType::F32);
        assert!(program.builds().all(|build| build.name().contains("texels") == textures), "{room} bytes");
        assert!(small.allocated() <= room, "{} of {room} bytes", small.allocated());
        program.run(&small, 1).unwrap();
        assert!(words(&small, &found) == words(&engine, &expected), "{room} bytes");
    }
}

/// A store of many rows is not copied for the few that are gathered.
#[test]
fn what_is_hardly_read_is_not_copied() {
    let engine = unchecked_engine();
    let [rows, columns, few] = [4096, 64, 256];
    let store = Array::normal(&[rows, columns], 1.0, 1);
    let indices = Array::integers(&[few], rows as u32, 2);
    let tensors = [engine.upload("store", &store, DType::F32), engine.upload("indices", &indices, DType::U32)];
    let [held, wanted] = tensors.map(|tensor| tensor.unwrap());
    let out = engine.tensor("out", Shape::new(&[few, columns]), DType::F32).unwrap();
    let mut recording = Recording::new();
    gather_rows::record(&mut recording, &[&held], &wanted, &out).unwrap();
    let program = Program::new(&engine, &recording).unwrap();
    assert!(program.copies().is_empty());
    program.run(&engine, 1).unwrap();
    let expected = gather_rows::reference(&[&store], &indices);
    let found = readback::read_floats(&engine, &out).unwrap();
    assert_eq!(found, expected.data.iter().map(|&value| value as f32).collect::<Vec<_>>());
}

/// A tensor is copied once between two writes, together with others where that is not too early.
#[test]
fn copies_stand_after_the_last_write_and_together() {
    let engine = unchecked_engine();
    let (_, program) = chain(&engine, DType::F32);
    let expected: &[usize] = if engine.reads_textures() { &[0, 0, 1, 2, 3, 4, 4] } else { &[] };
    assert_eq!(program.copies(), expected);
    assert!(program.builds().all(|build| build.name().contains("texels-a-b") == engine.reads_textures()));
    // Checked shaders are what stands in their files.
    assert!(chain(&self::engine(), DType::F32).1.copies().is_empty());
}

/// Programs share their textures, which are accounted for and go with the last program.
#[test]
fn textures_are_shared_and_go() {
    let engine = own_engine();
    let before = engine.allocated();
    let first = chain(&engine, DType::F32);
    let one = engine.allocated() - before;
    let second = chain(&engine, DType::F32);
    let two = engine.allocated() - before;
    let tensors = 5 * first.0[0].bytes().next_multiple_of(256);
    assert_eq!(two - one, tensors);
    assert_eq!(one > tensors, engine.reads_textures());
    drop((first, second));
    assert_eq!(engine.allocated() - before, 2 * tensors);
}

#[test]
fn large_tensors_stay_in_buffers() {
    let engine = unchecked_engine();
    let copies = |columns: usize| {
        let [x, out] = [0; 2].map(|_| engine.tensor("large", Shape::new(&[512, columns]), DType::F32).unwrap());
        let mut recording = Recording::new();
        relu::record(&mut recording, &x, &out).unwrap();
        Program::new(&engine, &recording).unwrap().copies().len()
    };
    let columns = MOST as usize / 512 / 4;
    assert_eq!((copies(columns), copies(columns + 4)), (usize::from(engine.reads_textures()), 0));
}
