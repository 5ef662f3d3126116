#!/usr/bin/env bash
# From recorded speech to a word error rate, in stages. The last part of this file is the table of contents.
set -euo pipefail
source "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/options.sh"
source "$root/path.sh"
workdir=$(realpath -m "${workdir:-$root/recipes/$recipe/${language#en}}")
conf=$root/conf data=$workdir/data exp=$workdir/exp
feats=$data/feats lang=$data/lang grammar=$data/lm_$lm_name graph=$exp/graph_${gmm}_$lm_name
((${#tests[@]})) || tests=(test)
tables=("$root/recipes/$recipe"/*.t[sx][vt]) # corrections, pronunciations

stage() { printf '%s\0' "$@" ''; } # a line of the plan: NAME MODULE ARGUMENTS... OUTPUT, @FILE: read as well

align() { # NAME SET MODEL ALI [options]: the alignments of a set
  stage "$1" steps.align --config "$conf/align.yaml" --nj "$nj" "${unknown_words[@]}" "${@:5}" \
    "$feats/$2" "$lang" "$exp/$3" "$exp/$4/$2"
}

adapt() { # NAME SET MODEL ALI OUT: its speakers' transforms
  stage "$1" steps.adapt --config "$conf/adapt.yaml" --nj "$nj" "$feats/$2" "$lang" "$exp/$3" "$exp/$4" "$exp/$5/$2"
}

train() { # NAME ALI NETWORK
  stage "$1" steps.train_nnet --config "$conf/training.yaml" --config "$nnet" --seed "$seed" \
    --workers "$workers" --threads $((nj > workers ? nj / workers : 1)) --cluster "$cluster" \
    "$feats/train_sp" "$feats/dev" "$lang" "$exp/$2/train_sp" "$exp/$2/dev" "$exp/$3"
}

hear() { # SET MODEL GRAPH WEIGHTS NAME [transforms]: one pass over a set, with the weights that a tuning chose
  stage decode steps.decode --config "$conf/search.yaml" --tuned "$exp/$4" --nj "$nj" \
    ${6:+--speakers "$exp/$6/$1"} "${@:7}" "$feats/$1" "$3" "$exp/$2" "$exp/$5"
}

recognise() { # MODEL GRAPH NAME [transforms]: weights chosen on dev, the test sets decoded with them, exp/NAME/...
  local set tuned=$3/tune_${lm_name}_dev
  stage decode steps.tune --config "$conf/search.yaml" --config "$conf/tuning.yaml" --nj "$nj" \
    ${4:+--speakers "$exp/$4/dev"} "$feats/dev" "$2" "$exp/$1" "$exp/$tuned"
  for set in "${tests[@]}"; do hear "$set" "$1" "$2" "$tuned" "$3/decode_${lm_name}_$set" "${@:4}"; done
}

recognise_adapted() { # GRAPH: as decode_fmllr.sh, transforms from a first pass without, then from a second with them
  local set first second weights=sat_si/tune_${lm_name}_dev
  recognise sat/sat_si "$1" sat_si
  for set in dev "${tests[@]}"; do
    first=sat_si/decode_${lm_name}_$set second=sat/second_${lm_name}_$set
    [[ $set != dev ]] || first=$weights
    adapt decode "$set" sat "$first" "sat_fmllr1_$lm_name"
    hear "$set" sat "$1" "$weights" "$second" "sat_fmllr1_$lm_name" --role pass
    adapt decode "$set" sat "$second" "sat_fmllr_$lm_name"
  done
  recognise sat "$1" sat "sat_fmllr_$lm_name"
}

{
  stage data "local.$recipe" "${own[@]}" "${tables[@]/#/@}" "$data"
  stage data steps.perturb_speed --config "$conf/speeds.yaml" --nj "$nj" "${allow[@]}" "$data/train" "$data/train_sp"
  stage feats steps.make_feats --config "$conf/feats.yaml" --nj "$nj" "${allow[@]}" "$data" "$feats"
  stage lang steps.prepare_lang --config "$conf/lang.yaml" "${unknown_words[@]}" \
    "$data/train" "$data/local/dict" "$lang"
  stage lang steps.train_lm --lm "${lm:-$lm_name}" "$data" "$lang" "$grammar"

  stage mono steps.train_mono --config "$conf/mono.yaml" --nj "$nj" --seed "$seed" "${unknown_words[@]}" \
    "$feats/train" "$lang" "$exp/mono"
  before=mono
  for system in "${gmms[@]:1}"; do
    speakers=()
    align "$system" train "$before" "${before}_ali"
    if [[ $system == sat ]]; then
      adapt sat train "$before" "${before}_ali/train" "${before}_fmllr"
      speakers=(--speakers "$exp/${before}_fmllr/train")
    fi
    stage "$system" steps.train_triphones --config "$conf/$system.yaml" --nj "$nj" --seed "$seed" \
      "${unknown_words[@]}" "${speakers[@]}" "$feats/train" "$lang" "$exp/${before}_ali/train" "$exp/$system"
    before=$system
  done
  for set in train_sp dev; do
    if [[ $gmm == sat ]]; then
      align align "$set" sat/sat_si sat_si_ali
      adapt align "$set" sat "sat_si_ali/$set" sat_ali_fmllr
      align align "$set" sat sat_ali --speakers "$exp/sat_ali_fmllr/$set"
    else
      align align "$set" "$gmm" "${gmm}_ali"
    fi
  done

  before=${gmm}_ali network=$name
  train nnet "$before" "$network"
  for ((round = 1; round <= realign; round++)); do # a network's own alignments train the next one
    for set in train_sp dev; do
      align "realign$round" "$set" "$network" "${network}_ali" --before "$exp/$before/$set"
    done
    before=${network}_ali network=${name}_realign$round
    train "realign$round" "$before" "$network"
  done

  for system in "${gmms[@]}"; do
    stage graph steps.make_graph "$lang" "$grammar" "$exp/$system" "$exp/graph_${system}_$lm_name"
  done
  for system in "${gmms[@]}"; do
    if [[ $system == sat ]]; then
      recognise_adapted "$graph"
    else
      recognise "$system" "$exp/graph_${system}_$lm_name" "$system"
    fi
  done
  recognise "$network" "$graph" "$network"
  stage score steps.score "$data" "$exp"
} | python -m steps.base.stages "${runner[@]}" "$workdir"
