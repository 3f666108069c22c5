//! Floor 1: adapters, device, tensors, shaders and pipelines, recordings (commands as data), timing, and the one place
//! that waits for the device.

pub mod adapter;
pub mod clock;
pub mod constants;
pub mod cooperative;
pub mod elements;
pub mod engine;
pub mod numbers;
pub mod program;
pub mod readback;
pub mod recording;
pub mod shader;
pub mod tensor;
pub mod texels;
pub mod timing;
pub mod trace;
pub mod variants;

pub use adapter::AdapterChoice;
pub use engine::{Engine, Options, WAY_OUT};
pub use program::Program;
pub use recording::{Cost, Dispatch, Recording};
pub use shader::{Access, Binding, Build, Places, Shader, Variant, read, read_write, uniform, update, write};
pub use tensor::Tensor;
pub use variants::{Factors, Variants};
