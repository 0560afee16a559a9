#!/usr/bin/env bash
# Unpack Mesa's Vulkan driver for CPUs (lavapipe) into a folder of the project, for ManiSkill. Nothing of the system is
# changed, and no root is needed.
#
#   scripts/software_vulkan.sh [FOLDER]      FOLDER: new or empty; .cache/software-vulkan in the project, where Astra
#                                            finds it
#
# Debian 12's own driver is too old for ManiSkill's renderer, so this takes the one of bookworm-backports. With another
# FOLDER, set VK_ICD_FILENAMES to FOLDER/lvp_icd.json. DEBIAN_MIRROR names another mirror than deb.debian.org.
set -euo pipefail

project=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:-$project/.cache/software-vulkan}
case $folder in /*) ;; *) folder=$PWD/$folder ;; esac
manifest=$folder/lvp_icd.json
if [ -f "$manifest" ]; then
    echo "the driver is there already: $manifest"
    exit 0
fi
if [ -e "$folder" ] && { [ ! -d "$folder" ] || [ -n "$(ls -A -- "$folder")" ]; }; then
    echo "$folder is not empty, and it is no driver that this script unpacked: name a folder that is new or empty" >&2
    exit 2
fi

system=$(. /etc/os-release 2>/dev/null && echo "${ID:-unknown} ${VERSION_ID:-}" || echo unknown)
if [ "$system" != "debian 12" ]; then
    echo "this script knows Debian 12 alone, and this is $system. Install Mesa's Vulkan driver, version 23 or newer, with" \
        "your system's packages: apt-get install mesa-vulkan-drivers (Debian 13, Ubuntu 24.04), dnf install" \
        "mesa-vulkan-drivers (Fedora)" >&2
    exit 2
fi
for tool in apt-get dpkg; do
    command -v "$tool" >/dev/null || { echo "$tool is missing, by which the driver is fetched" >&2; exit 2; }
done

mkdir -p "$(dirname "$folder")"
work=$(mktemp -d "$(dirname "$folder")/.software-vulkan.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists/partial,cache/archives/partial,driver}
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
    "${DEBIAN_MIRROR:-http://deb.debian.org/debian} bookworm-backports main" >"$work/sources.list"
own=(-q -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=- -o Dir::State::Lists="$work/lists"
    -o Dir::Cache="$work/cache" -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1 -o Acquire::Languages=none)
echo "[1/3] asking for the list of packages"
apt-get "${own[@]}" update >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
echo "[2/3] fetching the driver (11 MB)"
(cd "$work" && apt-get "${own[@]}" download mesa-vulkan-drivers >"$work/log" 2>&1) || { cat "$work/log" >&2; exit 1; }
echo "[3/3] unpacking it"
dpkg -x "$work"/mesa-vulkan-drivers_*.deb "$work/driver"

library=$(cd "$work/driver" && find usr/lib -name libvulkan_lvp.so)
if missing=$(ldd "$work/driver/$library" | awk '/not found/ {print $1}') && [ -n "$missing" ]; then
    echo "the driver needs libraries that are missing here: $(echo $missing). Install them: apt-get install libllvm15" \
        "libdrm2 libelf1 libwayland-client0 libx11-xcb1 libxcb-dri3-0 libxcb-present0 libxcb-randr0 libxcb-shm0" \
        "libxcb-sync1 libxcb-xfixes0 libxshmfence1 libzstd1" >&2
    exit 2
fi
source=$(find "$work/driver/usr/share/vulkan/icd.d" -name 'lvp_icd*.json')
text=$(printf %s "$folder/$library" | sed 's|["\\]|\\&|g')       # as JSON writes it
text=$(printf %s "$text" | sed 's/[\\|&]/\\&/g')                 # as sed replaces by it
sed "s|\"library_path\": *\"[^\"]*\"|\"library_path\": \"$text\"|" "$source" >"$work/driver/lvp_icd.json"
if [ -d "$folder" ]; then rmdir -- "$folder"; fi                     # it is empty, or this fails
mv -T -- "$work/driver" "$folder"
echo "the driver is ready: $manifest"
