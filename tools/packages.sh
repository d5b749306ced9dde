# Sourced by tools/test and tools/quickstart: what a build needs from Debian or Ubuntu.
build_packages=(g++ cmake ninja-build libeigen3-dev nlohmann-json3-dev libcli11-dev libutf8proc-dev
  libarchive-dev libboost-context-dev)

# install_missing PACKAGE...: installs those that are not there yet. Elsewhere than on Debian and Ubuntu it leaves
# that to whoever runs it.
install_missing() {
  local package missing=() root=()
  command -v dpkg-query >/dev/null || return 0
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  ((EUID == 0)) || root=(sudo)
  echo "installing ${missing[*]}"
  "${root[@]}" apt-get update -qq || true  # the lists at hand may do
  if ! "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null; then
    echo "apt-get could not install ${missing[*]}; install them, then run this again" >&2
    return 1
  fi
}
