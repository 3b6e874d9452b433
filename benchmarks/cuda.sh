#!/usr/bin/env bash
# What a CUDA device does for this package, in under 8 minutes on an H100 with 16 cores:
#   benchmarks/cuda.sh FOLDER            measure and print one table; run again, it goes on where it stopped
#   benchmarks/cuda.sh FOLDER --tiny     the same in little on the processor, to see that the script works
# Environment: PYTHON (default python), CORES (processes of the simulator and CPU jobs at once, default all), PLACES (jobs on
# the device at once in the sweeps, default 8), NO_COMPILE (1 leaves torch.compile out). `FOLDER/rows.jsonl` has every number, `FOLDER/table.txt` the table.
set -u
folder=${1:?give a folder for the results}
python=${PYTHON:-python}
cores=${CORES:-$(getconf _NPROCESSORS_ONLN)} # nproc obeys OMP_NUM_THREADS
places=${PLACES:-8}
export OMP_NUM_THREADS=1
cd "$(dirname "$0")/.." || exit 1
mkdir -p "$folder"

if [[ ${2:-} == --tiny ]]; then
  bench() { "$python" -m benchmarks.cuda_device "$1" "$folder" --device cpu --tiny "${@:2}"; }
  bench measure
  bench jobs --jobs 1 2
  how=(launcher=joblib launcher.n_jobs=2 trainer=cpu fit.max_epochs=2 fit.min_steps=4 pretrain.fit.max_epochs=1)
  how+=(source.n_objects=600 model.hidden=8 model.dense=8 model.latent=8)
  bts=(labels=60,120 target.n_objects=600)
  lsst=(labels=60,120 target.n_objects=600)
  recipe=(target.n_objects=600 source.parts.ztf.n_objects=600 members=1)
else
  bench() { "$python" -m benchmarks.cuda_device "$1" "$folder" "${@:2}"; }
  bench measure --device cpu & # one core of many
  bench measure
  wait
  bench jobs --jobs 1 4 8 16
  bench jobs --device cpu --jobs 1 "$cores"
  how=(launcher=cuda launcher.jobs_per_device="$places" source.n_jobs="$cores")
  bts=(labels=100,1000,4000 target.n_jobs="$cores")
  lsst=(labels=100,1000,10000 target.n_jobs="$cores")
fi

# cells of Figure 1 at its smallest, a middle and its largest budget, one seed, both arms; each pretrains once
sweep() { # NAME WORD...
  local began=$SECONDS
  "$python" -m tlclass.train "+experiment=$1" -m "${how[@]}" "${@:2}" seed=0 logger=none progress=false \
    paths.results="$folder/results" paths.models="$folder/models" paths.cache="$folder/cache" >"$folder/$1.log" 2>&1 ||
    tail -n 5 "$folder/$1.log"
  echo "$1: sweep with pretraining, simulation and report $((SECONDS - began)) s" | tee -a "$folder/sweeps.txt"
}
sweep ztf2bts "${bts[@]}" &
sweep ztf2lsst "${lsst[@]}" &
wait

if [[ ${2:-} != --tiny && -z ${NO_COMPILE:-} ]]; then # last, since its compilation takes long
  timeout 90 "$python" -m benchmarks.cuda_device compile "$folder" || echo "torch.compile took more than 90 s"
fi
{
  "$python" -m benchmarks.cuda_device table "$folder"
  cat "$folder/sweeps.txt"
} | tee "$folder/table.txt"
