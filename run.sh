#!/usr/bin/env bash
# From recorded speech to a word error rate, in stages. The last part of this file is the table of contents.
set -euo pipefail
source "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/options.sh"
source "$root/path.sh"
workdir=$(realpath -m "${workdir:-$root/recipes/$recipe/$subfolder}")
conf=$root/conf data=$workdir/data exp=$workdir/exp fmllr=${fmllr:+$workdir/exp/sat_ali_fmllr}
feats=$data/feats lang=$data/lang grammar=$data/lm_$lm_name
((${#tests[@]})) || tests=(test)

# one line of the plan: NAME MODULE ARGUMENTS... OUTPUT; @FILE only adds FILE to the skip hash
stage() { printf '%s\0' "$@" ''; }

align() { # STAGE SET MODEL ALI [options]: align a set with a model
  local stage_name=$1 data_set=$2 model=$3 ali=$4
  stage "$stage_name" steps.align --config "$conf/align.yaml" --nj "$nj" "${unknown_words[@]}" "${@:5}" \
    "$feats/$data_set" "$lang" "$exp/$model" "$exp/$ali/$data_set"
}

adapt() { # STAGE SET MODEL ALI TRANSFORMS: estimate the transforms of a set's speakers
  local stage_name=$1 data_set=$2 model=$3 ali=$4 transforms=$5
  stage "$stage_name" steps.adapt --config "$conf/adapt.yaml" --nj "$nj" \
    "$feats/$data_set" "$lang" "$exp/$model" "$exp/$ali" "$exp/$transforms/$data_set"
}

train() { # STAGE ALI NETWORK
  local stage_name=$1 ali=$2 network=$3
  stage "$stage_name" steps.train_nnet --config "$conf/train_nnet.yaml" --config "$nnet" --seed "$seed" \
    --workers "$workers" --threads $((nj > workers ? nj / workers : 1)) --cluster "$cluster" ${cmvn:+--cmvn "$cmvn"} \
    "${init[@]}" ${fmllr:+--features-of "$exp/sat" --speakers "$fmllr/train_sp" --dev-speakers "$fmllr/dev"} \
    "$feats/train_sp" "$feats/dev" "$lang" "$exp/$ali/train_sp" "$exp/$ali/dev" "$exp/$network"
}

decode() { # SET MODEL GRAPH TUNED OUT [TRANSFORMS [options]]: decode a set once, with the scales tuned in exp/TUNED
  local data_set=$1 model=$2 graph=$3 tuned=$4 out=$5 transforms=${6-}
  stage decode steps.decode --config "$conf/search.yaml" --tuned "$exp/$tuned" --nj "$nj" \
    ${transforms:+--speakers "$exp/$transforms/$data_set"} "${@:7}" \
    "$feats/$data_set" "$graph" "$exp/$model" "$exp/$out"
}

recognise() { # MODEL STATES OUT [TRANSFORMS]: tune the scales on dev, decode the test sets with them, in exp/OUT/...
  local model=$1 graph=$exp/graph_$2_$lm_name out=$3 transforms=${4-} data_set tuned=$3/tune_${lm_name}_dev
  stage decode steps.tune --config "$conf/search.yaml" --config "$conf/tuning.yaml" --nj "$nj" \
    ${transforms:+--speakers "$exp/$transforms/dev"} "$feats/dev" "$graph" "$exp/$model" "$exp/$tuned"
  for data_set in "${tests[@]}"; do
    decode "$data_set" "$model" "$graph" "$tuned" "$out/decode_${lm_name}_$data_set" "$transforms"
  done
}

recognise_adapted() { # as Kaldi's decode_fmllr.sh, transforms from a first pass, then from an adapted second one
  local graph=$exp/graph_sat_$lm_name tuned=sat_si/tune_${lm_name}_dev data_set first second
  recognise sat/sat_si sat sat_si
  for data_set in dev "${tests[@]}"; do
    first=sat_si/decode_${lm_name}_$data_set second=sat/second_${lm_name}_$data_set
    [[ $data_set != dev ]] || first=$tuned
    adapt decode "$data_set" sat "$first" "sat_fmllr1_$lm_name"
    decode "$data_set" sat "$graph" "$tuned" "$second" "sat_fmllr1_$lm_name" --role pass
    adapt decode "$data_set" sat "$second" "sat_fmllr_$lm_name"
  done
  recognise sat sat sat "sat_fmllr_$lm_name"
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
  for system in "${gmms[@]:1}"; do # each starts from the alignments of the one before
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
  for data_set in train_sp dev; do
    if [[ $gmm != sat ]]; then align align "$data_set" "$gmm" "${gmm}_ali"; continue; fi
    align align "$data_set" sat/sat_si sat_si_ali
    adapt align "$data_set" sat "sat_si_ali/$data_set" sat_ali_fmllr
    align align "$data_set" sat sat_ali --speakers "$exp/sat_ali_fmllr/$data_set"
  done
  for tree in "${trees[@]}"; do # grown on all speeds, as in Kaldi: on what the network is trained on
    stage align steps.build_tree --config "$conf/tree_30ms.yaml" --nj "$nj" \
      "$feats/train_sp" "$lang" "$exp/${gmm}_ali/train_sp" "$exp/$tree"
    for data_set in train_sp dev; do
      stage align steps.convert_ali "$exp/${gmm}_ali/$data_set" "$exp/$tree" "$exp/${tree}_ali/$data_set"
    done
  done

  before=${states}_ali network=$name
  train nnet "$before" "$network"
  for ((round = 1; round <= realign; round++)); do # a network's own alignments train the next one
    for data_set in train_sp dev; do
      align realign "$data_set" "$network" "${network}_ali" --before "$exp/$before/$data_set" \
        ${fmllr:+--speakers "$fmllr/$data_set"}
    done
    before=${network}_ali network=${name}_realign$round
    train realign "$before" "$network"
  done

  for system in "${gmms[@]}" "${trees[@]}"; do
    stage graph steps.make_graph "$lang" "$grammar" "$exp/$system" "$exp/graph_${system}_$lm_name"
  done
  for system in "${gmms[@]}"; do
    if [[ $system == sat ]]; then recognise_adapted; else recognise "$system" "$system" "$system"; fi
  done
  recognise "$network" "$states" "$network" "${fmllr:+sat_fmllr_$lm_name}"
  stage score steps.score --config "$conf/score.yaml" "$data" "$exp"
} | python -m steps.base.stages "${runner[@]}" "$workdir" -- "${command_line[@]}"
