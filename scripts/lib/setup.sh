# What scripts/demo, scripts/test and .ci/run share. To be sourced from bash; sets `root` and goes there.
#
# A bare machine lacks two things: a C compiler (Rust links through it) and a Vulkan driver. Each is looked for first,
# and installed only when it is missing, with the system's own package manager and without a question.

set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
terminal=$([ ! -t 0 ] || echo yes) # whether somebody could type a password

say() { printf '%s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# phase NAME COMMAND...: runs COMMAND and says how long it took; its exit status is COMMAND's.
phase() {
  local name=$1 start=$SECONDS status=0; shift
  say "== $name"
  "$@" || status=$?
  say "== $name: $((SECONDS - start)) s$([ "$status" -eq 0 ] || printf ' (failed, status %s)' "$status")"
  return "$status"
}

# Stops when there is no Rust, or one older than Cargo.toml asks for.
need_rust() {
  local wanted found
  command -v cargo >/dev/null && command -v rustc >/dev/null ||
    fail "cargo is not there. Install Rust with https://rustup.rs, open a new shell, and run this again."
  wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' Cargo.toml)
  found=$(rustc --version | cut -d' ' -f2)
  [ "$(printf '%s\n%s\n' "$wanted" "${found%%-*}" | sort -V | head -n 1)" = "$wanted" ] ||
    fail "Rust $found is there, but $wanted or newer is needed. Run: rustup update stable"
}

# The first package manager that is there. The system's own come before brew, whose libraries the loader does not see.
package_manager() {
  local each
  for each in apt-get dnf pacman zypper apk brew; do
    if command -v "$each" >/dev/null; then say "$each"; return; fi
  done
}

# packages MANAGER THING: the packages that bring a thing, as that manager calls them; nothing when it has none.
packages() {
  case "$1 $2" in
    "apt-get vulkan") say "libvulkan1 mesa-vulkan-drivers" ;;
    "dnf vulkan") say "vulkan-loader mesa-vulkan-drivers" ;;
    "pacman vulkan") say "vulkan-icd-loader vulkan-swrast" ;;
    "zypper vulkan") say "libvulkan1 libvulkan_lvp" ;;
    "apk vulkan") say "vulkan-loader mesa-vulkan-swrast" ;;
    "brew vulkan") say "vulkan-loader mesa" ;;
    "apt-get cc") say "gcc libc6-dev" ;;
    "dnf cc" | "pacman cc" | "zypper cc") say "gcc" ;;
    "apk cc") say "gcc musl-dev" ;;
  esac
}

# as_root COMMAND...: as root, through sudo if need be; asks for a password only where somebody can type it.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; elif [ -n "$terminal" ]; then sudo "$@"; else sudo -n "$@"; fi
}

# can_install MANAGER: whether we may install. brew wants no root; the others do.
can_install() {
  [ "$1" = brew ] || [ "$(id -u)" -eq 0 ] ||
    { command -v sudo >/dev/null && { [ -n "$terminal" ] || sudo -n true 2>/dev/null; }; }
}

# run_manager MANAGER PACKAGES...: installs without a question and without what the packages only recommend.
run_manager() {
  local manager=$1; shift
  case $manager in
    apt-get)
      # A source that cannot be read now need not be the one that has the packages: the install decides.
      as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 update || true
      as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y -o DPkg::Lock::Timeout=120 install --no-install-recommends "$@" ;;
    dnf) as_root dnf -y --setopt=install_weak_deps=False install "$@" ;;
    # The package lists are fetched only when the ones there do not do: newer lists on an older system break it.
    pacman) as_root pacman -S --noconfirm --needed "$@" || as_root pacman -Sy --noconfirm --needed "$@" ;;
    zypper) as_root zypper --non-interactive install --no-recommends "$@" ;;
    apk) as_root apk add "$@" ;;
    brew) brew install "$@" ;;
  esac
}

# install THING WHY: says what it is about to install, and installs it, or says what to install by hand.
install() {
  local thing=$1 why=$2 manager list log by_hand
  manager=$(package_manager)
  list=$([ -z "$manager" ] || packages "$manager" "$thing")
  case $thing in
    cc) by_hand="a C compiler that provides \`cc\` (on Debian: apt-get install gcc libc6-dev)" ;;
    vulkan) by_hand="a Vulkan loader and a driver; Mesa's software driver (lavapipe) will do (on Debian: apt-get install libvulkan1 mesa-vulkan-drivers)" ;;
    *) fail "install: no such thing: $thing" ;;
  esac
  [ -n "$list" ] || fail "$why, and no package manager that this script knows has it. Install $by_hand, and run this again."
  can_install "$manager" || fail "$why, and there is no right to install here (neither root nor sudo). As root, install with $manager: $list. Then run this again."
  say "$why. Installing with $manager: $list"
  log=$(mktemp)
  # shellcheck disable=SC2086 # the list is words
  if ! run_manager "$manager" $list >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    fail "$manager could not install $list. Install $by_hand, and run this again."
  fi
  rm -f "$log"
}

# Rust links through `cc`.
ensure_linker() {
  command -v cc >/dev/null && return
  [ "$(uname)" != Darwin ] || fail "there is no C linker (cc). Run: xcode-select --install"
  install cc "There is no C linker (cc)"
}

# has_adapter COMMAND...: whether the built program (COMMAND) finds an adapter. It is asked itself, since nothing else
# knows what it can use. Status 4 is its answer "no adapter"; any other failure is an error of its own.
has_adapter() {
  local status=0 answer
  answer=$("$@" adapters 2>&1) || status=$?
  case $status in
    0) say "$answer"; return 0 ;;
    4) return 1 ;;
    *) say "$answer" >&2; fail "\`relabel adapters\` failed with status $status" ;;
  esac
}

# ensure_adapter COMMAND...: installs the Vulkan loader and Mesa's software driver when COMMAND finds no adapter.
ensure_adapter() {
  if has_adapter "$@"; then return; fi
  [ "$(uname)" != Darwin ] || fail "no adapter was found, and macOS brings Metal itself: is this a virtual machine without a GPU?"
  install vulkan "No GPU driver and no software one was found"
  if [ "$(package_manager)" = brew ]; then
    # The system's linker does not look where brew puts the loader.
    LD_LIBRARY_PATH=$(brew --prefix)/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export LD_LIBRARY_PATH
  fi
  has_adapter "$@" || fail "Vulkan and Mesa's software driver are installed, but still no adapter is found. Which drivers there are: ls /usr/share/vulkan/icd.d /etc/vulkan/icd.d"
}
