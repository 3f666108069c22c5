// A band of lines of images in workgroup memory, with its border and zeros outside the image, for matrices whose lines are
// neighbouring positions; and factors as sums of two halves. Of a source that is read in steps of 2 or more, lines and pixels
// of one residue are a plane, one plane after the other: there, neighbouring outputs read neighbouring positions. Appended
// after a kernel that binds `params` and declares `override VECTORS` (vectors of 4 channels that a position has here),
// `override IMAGE_ROOM` (vectors of the image's room), `override LANES`, `alias Element` (of the source, as it lies in memory)
// and `source(at) -> Element`, before what uses it.
//
// SPLIT: each factor is the sum of two half-precision numbers, high and low, and a product is high·high + high·low +
// low·high in float32: what is left out is 2⁻²² of it. Sums of a few steps leave the matrix unit, which may cut off, and are added by
// float32 additions. Else factors are rounded to half precision.
//
// The image's scale (scales.wgsl) is kept from part to part, which are staged again where it does not suit them: nobody waits for a
// part's largest value before it is staged.

// What halo.rs says of it; of the gradient by the input, sizes are those of the convolution that it is.
struct Params {
    rows: u32,            // R
    height: u32,          // H, of the source
    width: u32,           // W
    channels: u32,        // pad4(C) / 4
    out_height: u32,      // OH
    out_width: u32,       // OW
    outputs: u32,         // pad4(Cout) / 4
    kernel_width: u32,    // kw
    taps: u32,            // kh · kw
    padding: u32,         // zeros on each side
    pitch: u32,           // positions a line of a plane: W + 2 · padding where the step is 1
    band: u32,            // lines of the output a workgroup
    bands: u32,           // bands an image
    images: u32,          // images a block; 1 unless a band is all of one
    blocks: u32,          // bands of all images, or blocks of images
    turns: u32,           // blocks a workgroup, at most
    run: u32,             // blocks of the gradient by weights after which sums leave the matrix unit
    image_tiles: u32,     // tiles of SIDE positions of an image's band
    tile_pitch: u32,      // positions a line in tiles: of the output where its lines are whole tiles, else pitch
    image_positions: u32, // positions of an image's part, all planes
    columns: u32,         // Cout
    parts: u32,           // of the gradient by weights; 1 elsewhere
    stride: u32,          // of the convolution
    step: u32,            // pixels of the source from a position to the next: the stride, of the gradient by the input 1
    plane: u32,           // positions of a plane; 0 where there is one
}

override SIDE: u32 = 16u;
alias Left = coop_mat16x16<f16, A>;
alias Right = coop_mat16x16<f16, B>;
alias Sum = coop_mat16x16<f32, C>;

override SPLIT: bool = true;
override QUADS: u32 = SIDE / 4u;
// Halves of a factor.
override KEPT: u32 = select(1u, 2u, SPLIT);
// Vectors from a position to the next, high halves and then low ones: 8 numbers more than are used, so that they begin in different
// banks.
override LINE: u32 = KEPT * VECTORS + 2u;
override POSITIONS: u32 = 208u; // room for positions
// Vectors that a lane loads before it uses the first, at most 8.
override IMAGE_LOADS: u32 = min((POSITIONS * VECTORS + LANES - 1u) / LANES, 8u);

// Vectors as they lie in memory, and a bit for each that is inside. They are zeroed and rounded where they are put down: doing so
// where they are loaded would wait for them.
struct Batch {
    loaded: array<Element, 8>,
    inside: u32,
}

var<workgroup> image: array<vec4<f16>, IMAGE_ROOM>;

// The nearest numbers of 11 bits, told by their bits: a driver may take a conversion there and back for nothing.
fn high(v: vec4<f32>) -> vec4<f32> {
    return bitcast<vec4<f32>>((bitcast<vec4<u32>>(v) + 0x1000u) & vec4(0xffffe000u));
}

// A block: images, and lines of the output.
struct Block {
    image: u32,
    line: u32,
}

fn block_of(index: u32) -> Block {
    return Block(index / params.bands * params.images, index % params.bands * params.band);
}

// Where a vector lies in a tensor; 0 if not inside.
struct Place {
    at: u32,
    inside: bool,
}

// Where the i-th vector of the image's part lies, of `count`: which vector of channels of which position. All but the block's own
// place is the same for every block.
fn place_of(i: u32, count: u32, first_vector: u32, block: Block) -> Place {
    let position = i / VECTORS;
    let channel = first_vector + i % VECTORS;
    let image = select(position / params.image_positions, 0u, params.images == 1u);
    let within = position - image * params.image_positions;
    let plane = select(within / max(params.plane, 1u), 0u, params.plane == 0u);
    let of_plane = within - plane * params.plane;
    let across = min(params.step, params.kernel_width); // planes of a line's pixels
    let line = of_plane / params.pitch;
    let y = line * params.step + plane / across - params.padding;
    let x = (of_plane - line * params.pitch) * params.step + plane % across - params.padding;
    let own = ((image * params.height + y) * params.width + x) * params.channels + channel;
    let first = block.line * params.step;
    let at = (block.image * params.height + first) * params.width * params.channels + own;
    let inside = i < count && first + y < params.height && x < params.width
        && block.image + image < params.rows && channel < params.channels;
    return Place(select(0u, at, inside), inside);
}

fn image_at(i: u32, count: u32, first_vector: u32, block: Block) -> vec4<f32> {
    let place = place_of(i, count, first_vector, block);
    return select(vec4(0.0), vec4<f32>(source(place.at)), place.inside);
}

fn image_batch(lane: u32, count: u32, first_vector: u32, block: Block) -> Batch {
    var batch: Batch;
    for (var j = 0u; j < IMAGE_LOADS; j++) {
        let place = place_of(lane + j * LANES, count, first_vector, block);
        batch.loaded[j] = source(place.at);
        batch.inside |= u32(place.inside) << j;
    }
    return batch;
}

// The j-th vector of a batch.
fn of_batch(batch: Batch, j: u32) -> vec4<f32> {
    return select(vec4(0.0), vec4<f32>(batch.loaded[j]), (batch.inside & (1u << j)) != 0u);
}

// A vector in the image's room, what is left of it `apart` vectors on.
fn put_halves(at: u32, apart: u32, v: vec4<f32>, scale: f32) {
    if SPLIT {
        let scaled = v * scale;
        let upper = high(scaled);
        image[at] = vec4<f16>(upper);
        image[at + apart] = vec4<f16>(scaled - upper);
    } else if SCALED {
        image[at] = vec4<f16>(v * scale);
    } else {
        image[at] = vec4<f16>(v);
    }
}

// The j-th vector of a batch, likewise; halves stay as they lie.
fn put_batch(at: u32, batch: Batch, j: u32, scale: f32) {
    if SCALED {
        put_halves(at, VECTORS, of_batch(batch, j), scale);
    } else {
        image[at] = select(vec4<f16>(), vec4<f16>(batch.loaded[j]), (batch.inside & (1u << j)) != 0u);
    }
}

// Where the image's i-th vector lies.
fn image_place(i: u32) -> u32 {
    return i / VECTORS * LINE + i % VECTORS;
}

// A tile of SIDE positions, or one of them: which image's, and where on its band's lines.
struct Spot {
    image: u32,
    line: u32,
    x: u32,
}

fn spot_of(tile: u32, row: u32) -> Spot {
    let image = select(tile / params.image_tiles, 0u, params.images == 1u);
    let position = (tile - image * params.image_tiles) * SIDE + row;
    let line = position / params.tile_pitch;
    return Spot(image, line, position - line * params.tile_pitch);
}

// The first position of a tile.
fn first_position(tile: u32) -> u32 {
    let spot = spot_of(tile, 0u);
    return spot.image * params.image_positions + spot.line * params.pitch + spot.x;
}

// How far a tap lies from the first, in vectors; past the last tap, of the last.
fn shift_of(tap: u32) -> u32 {
    let own = min(tap, params.taps - 1u);
    let ky = own / params.kernel_width;
    let kx = own - ky * params.kernel_width;
    let plane = ky % params.stride * min(params.stride, params.kernel_width) + kx % params.stride;
    return (plane * params.plane + ky / params.stride * params.pitch + kx / params.stride) * LINE;
}
