//! What the tests share: one checked and one unchecked device on the software or default adapter.

use std::sync::{Arc, OnceLock};

use relabel::gpu::{AdapterChoice, Engine, Options};

/// The device of this process. `RELABEL_TEST_ADAPTER` chooses the adapter (default `auto`).
pub fn engine() -> Arc<Engine> {
    static ENGINE: OnceLock<Arc<Engine>> = OnceLock::new();
    Arc::clone(ENGINE.get_or_init(|| open(Options { checked: true, ..Options::default() })))
}

/// A device of the same adapter whose shaders run without wgpu's checks, as release builds do; a software
/// adapter then reads inputs from textures, here small ones too, or storage inputs as 64-bit words.
pub fn unchecked_engine() -> Arc<Engine> {
    static ENGINE: OnceLock<Arc<Engine>> = OnceLock::new();
    Arc::clone(ENGINE.get_or_init(own_engine))
}

/// A device of its own, unchecked, for tests that set what holds for a whole device.
pub fn own_engine() -> Arc<Engine> {
    open(Options { checked: false, ..Options::default() })
}

/// A device of its own, unchecked, with room for so many bytes.
pub fn engine_with_memory(bytes: u64) -> Arc<Engine> {
    open(Options { checked: false, memory: Some(bytes), ..Options::default() })
}

/// A device of its own, whose matrices lie in arrays of numbers as they do on Metal.
pub fn engine_with_numbers() -> Arc<Engine> {
    open(Options { checked: true, numbers: true, ..Options::default() })
}

/// A device of its own that makes parameters constants where a dispatch asks for it, as GPUs do.
pub fn engine_with_constants() -> Arc<Engine> {
    open(Options { checked: true, constants: true, ..Options::default() })
}

fn open(options: Options) -> Arc<Engine> {
    let wish = std::env::var("RELABEL_TEST_ADAPTER").unwrap_or_else(|_| "auto".into());
    let adapter: AdapterChoice = wish.parse().expect("RELABEL_TEST_ADAPTER");
    Engine::open(&Options { adapter, all_textures: true, ..options })
        .expect("an adapter: install Mesa's software driver (scripts/test does)")
}
