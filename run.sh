#!/usr/bin/env bash
# From recorded speech to a word error rate, in stages. The last part of this file is the table of contents.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
  cat <<EOF
Usage: ./run.sh [options], or recipes/NAME/run.sh [options]

  --stage N, --stop-stage N   run stage N again and what follows, up to a stage (name or number, see --list)
  --list                      show the stages and which are done
  --dry-run                   print the commands
  --nj N                      number of processes (default: the cores, $nj)
  --nnet FILE                 acoustic model, one of conf/nnet/*.yaml (default: lstmp)
  --corpus DIR                take the audio from DIR instead of downloading it
  --workdir DIR               where data/ and exp/ go (default: the recipe's folder)
  --recipe NAME               one of: $(cd "$root/recipes" && echo *)
  --seed N                    seed of all that is random (default: 1)
  --lm-name NAME              unigram, bigram, trigram, 4gram ... trained on the training text, or an LM of the corpus
  --lm FILE                   an ARPA language model, plain or .gz
  --oov-to-unk                take words without a pronunciation as <UNK>
recipe asterisk:
  --language XX               en es fr it ru (default: en)
recipe custom:
  --train DIR, --dev DIR, --test DIR   Kaldi data directories; --test more than once for more test sets
  --lexicon FILE              a lexicon or a Kaldi dict directory (default: letters as phones)
  --allow-commands            run the commands in wav.scp
EOF
}

die() { echo "error: $*" >&2; exit 2; }

nj=$(nproc) nnet=$root/conf/nnet/lstmp.yaml recipe=asterisk workdir='' seed=1 lm_name=bigram lm='' language=''
runner=() own=() tests=() unknown_words=() allow=()
while (($#)); do
  case $1 in
    --list | --dry-run | --oov-to-unk | --allow-commands | --help | -h) value='' ;;
    --*) (($# > 1)) || die "$1 needs a value, or is not an option (--help lists them)"; value=$2 ;;
    *) die "'$1' is not an option (--help lists them)" ;;
  esac
  case $1 in
    --help | -h) usage; exit ;;
    --stage | --stop-stage) runner+=("$1" "$value") ;;
    --list | --dry-run) runner+=("$1") ;;
    --nj) nj=$value ;;
    --nnet) nnet=$value ;;
    --workdir) workdir=$value ;;
    --recipe) recipe=$value ;;
    --seed) seed=$value ;;
    --lm-name) lm_name=$value ;;
    --lm) lm=$value lm_name=$(basename "${value%.gz}" .arpa); own+=("$1" "$value") ;;
    --oov-to-unk) unknown_words=("$1") ;;
    --allow-commands) allow=("$1"); own+=("$1") ;;
    --language) language=$value own+=("$1" "$value") ;;
    --test) tests+=("$(basename "$value")"); own+=("$1" "$value") ;;
    --corpus | --train | --dev | --lexicon) own+=("$1" "$value") ;;
    *) usage >&2; die "unknown option $1; the known ones are listed above" ;;
  esac
  shift; [[ -z $value ]] || shift
done
[[ -d $root/recipes/$recipe ]] || die "no recipe '$recipe'; there are: $(cd "$root/recipes" && echo *)"
[[ -f $nnet ]] || die "no model file '$nnet'; there are: $(cd "$root" && echo conf/nnet/*.yaml)"
[[ $nj =~ ^[1-9][0-9]*$ ]] || die "--nj is '$nj'; it has to be a number of processes"

source "$root/path.sh"
if [[ -z $workdir ]]; then
  workdir=$root/recipes/$recipe
  [[ -z $language || $language == en ]] || workdir=$workdir/$language
fi
conf=$root/conf data=$workdir/data exp=$workdir/exp name=$(basename "$nnet" .yaml)
feats=$data/feats lang=$data/lang grammar=$data/lm_$lm_name graph=$exp/graph_$lm_name
[[ -n $lm ]] || lm=$lm_name
((${#tests[@]})) || tests=(test)

stage() { printf '%s\0' "$@" ''; } # a line of the plan: NAME MODULE ARGUMENTS... OUTPUT

{
  stage data "local.$recipe" "${own[@]}" "$data"
  stage feats steps.make_feats --config "$conf/feats.yaml" --nj "$nj" "${allow[@]}" "$data" "$feats"
  stage lang steps.prepare_lang --config "$conf/lang.yaml" "${unknown_words[@]}" "$data/train" "$data/local/dict" "$lang"
  stage lang steps.train_lm --lm "$lm" "$data" "$lang" "$grammar"
  stage mono steps.train_mono --config "$conf/mono.yaml" --nj "$nj" --seed "$seed" "${unknown_words[@]}" \
    "$feats/train" "$lang" "$exp/mono"
  for set in train dev; do
    stage align steps.align --config "$conf/align.yaml" --nj "$nj" "${unknown_words[@]}" \
      "$feats/$set" "$lang" "$exp/mono" "$exp/mono_ali/$set"
  done
  stage nnet steps.train_nnet --model "$nnet" --training "$conf/training.yaml" --threads "$nj" --seed "$seed" \
    "$feats/train" "$feats/dev" "$lang" "$exp/mono_ali/train" "$exp/mono_ali/dev" "$exp/$name"
  stage graph steps.make_graph "$lang" "$grammar" "$exp/mono" "$graph"
  for model in mono "$name"; do
    tuned=$exp/$model/tune_${lm_name}_dev
    stage decode steps.tune --config "$conf/search.yaml" --config "$conf/tuning.yaml" --nj "$nj" \
      "$feats/dev" "$graph" "$exp/$model" "$tuned"
    for set in "${tests[@]}"; do
      stage decode steps.decode --config "$conf/search.yaml" --tuned "$tuned" --nj "$nj" \
        "$feats/$set" "$graph" "$exp/$model" "$exp/$model/decode_${lm_name}_$set"
    done
  done
  stage score steps.score "$data" "$exp"
} | python -m steps.stages "${runner[@]}" "$workdir"
