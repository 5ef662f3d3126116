#!/usr/bin/env bash
# From recorded speech to a word error rate, in stages. The last part of this file is the table of contents.
set -euo pipefail
root=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
die() { echo "error: $*" >&2; exit 2; }

usage() {
  cat <<EOF
Usage: ./run.sh [options], or recipes/NAME/run.sh [options]

  --stage N, --stop-stage N   run stage N again and what follows from it, up to a stage (name or number, see --list)
  --list                      show the stages and which are done
  --dry-run                   print the commands
  --nj N                      number of processes (default: the cores, $nj)
  --nnet FILE                 acoustic model, one of $(cd "$root" && echo conf/nnet/*.yaml) (default: lstmp)
  --corpus DIR                take the audio from DIR instead of downloading it (all recipes but custom)
  --workdir DIR               where data/ and exp/ go (default: the recipe's folder)
  --recipe NAME               one of: $recipes
  --seed N                    seed of all that is random (default: 1)
  --workers N                 processes that train the network, by asynchronous SGD, in --nj threads (default: 1)
  --cluster ray               they are on a Ray cluster of --nj cores, or more (ray://HOST:PORT: another machine's)
  --lm-name NAME              unigram, bigram (the default), trigram, 4gram ... of the training text; an4: corpus
  --lm FILE                   an ARPA language model instead, plain or .gz
  --oov-to-unk                take words without a pronunciation as <UNK>
recipe asterisk:
  --language XX               en es fr it ru (default: en)
recipe custom:
  --train DIR, --dev DIR, --test DIR   Kaldi data directories; --test more than once for more test sets
  --lexicon FILE              a lexicon or a Kaldi dict directory (default: letters as phones)
  --allow-commands            run the commands in wav.scp
EOF
}

recipes=$(cd "$root/recipes" && echo *) recipe=asterisk language=en workdir=''
nj=$(env -u OMP_NUM_THREADS nproc) workers=1 cluster=local seed=1 nnet=$root/conf/nnet/lstmp.yaml lm_name=bigram lm=''
runner=() own=() tests=() unknown_words=() allow=()
while (($#)); do
  [[ $1 != --*=* ]] || set -- "${1%%=*}" "${1#*=}" "${@:2}"
  option=$1 value=${2-}
  case $option in
    --help | -h) usage; exit ;;
    --list | --dry-run) runner+=("$option"); shift; continue ;;
    --oov-to-unk) unknown_words=("$option"); shift; continue ;;
    --allow-commands) allow=("$option") own+=("$option"); shift; continue ;;
    --stage | --stop-stage | --nj | --workdir | --recipe | --seed | --workers | --cluster | --lm-name | --language) ;;
    --nnet | --corpus | --lm | --train | --dev | --test | --lexicon)
      [[ -e $value ]] || die "$option needs a file or directory; there is no '$value' (see --help)"
      value=$(realpath -s "$value") ;; # absolute: the same wherever the next run is started
    *) usage >&2; die "unknown option '$option'; the known ones are listed above" ;;
  esac
  [[ -n $value && $value != --* ]] || die "$option needs a value (see --help)"
  case $option in
    --stage | --stop-stage) runner+=("$option" "$value") ;;
    --nj | --nnet | --workdir | --recipe | --seed | --workers | --cluster) printf -v "${option#--}" %s "$value" ;;
    --lm-name) lm_name=$value ;;
    --lm) lm=$value lm_name=$(basename "${value%.gz}") lm_name=${lm_name%.arpa} lm_name=${lm_name%.lm} ;;
    --language) language=$value own+=("$option" "$value") ;;
    --test) tests+=("$(basename "$(realpath "$value")")") ;;&
    --test | --corpus | --train | --dev | --lexicon) own+=("$option" "$value") ;;
  esac
  shift 2
done
name=$(basename "$nnet" .yaml) trained='^(uni|bi|tri|[1-9])gram$'
declare -A known=([festvox_ru]='--corpus' # the options of each recipe's data stage
  [asterisk]='--language --corpus' [an4]='--corpus' [custom]='--train --dev --test --lexicon --allow-commands')
[[ -n ${known[$recipe]-} ]] || die "no recipe '$recipe'; there are: $recipes"
taken=' (train|train_sp|dev|local|feats|lang|lm_[^ ]*) '
[[ ! " ${tests[*]} " =~ $taken ]] || die "--test: data/${BASH_REMATCH[1]} is taken, rename it"
for option in "${own[@]}"; do
  [[ $option != --* || " ${known[$recipe]} " == *" $option "* ]] ||
    die "recipe $recipe has no option $option, but ${known[$recipe]}"
done
[[ $language =~ ^(en|es|fr|it|ru)$ ]] || die "--language is '$language'; there are en es fr it ru"
[[ "$nj $workers 1$seed" =~ ^([1-9][0-9]*\ ?){3}$ ]] ||
  die "--nj '$nj', --workers '$workers' and --seed '$seed' have to be whole numbers"
[[ $cluster =~ ^(local|ray|ray://.+:[0-9]+)$ ]] || die "--cluster is '$cluster'; there are local, ray, ray://HOST:PORT"
[[ -n $lm || $lm_name =~ $trained || $recipe/$lm_name == an4/corpus ]] || die "recipe $recipe has no --lm-name $lm_name"
[[ -z $lm || ! $lm_name =~ $trained ]] || die "--lm $lm: results would call it $lm_name, as one trained here; rename it"
[[ -f $nnet && ! $name =~ ^(mono|mono_ali|log|graph_.*)$ ]] || die "--nnet $nnet: no file, or exp/$name is taken"
[[ $recipe != custom ]] || own+=(--nj "$nj" ${lm:+--lm "$lm"}) # it checks all audio; its lexicon has the model's words

source "$root/path.sh"
workdir=$(realpath -m "${workdir:-$root/recipes/$recipe/${language#en}}")
conf=$root/conf data=$workdir/data exp=$workdir/exp
feats=$data/feats lang=$data/lang grammar=$data/lm_$lm_name graph=$exp/graph_$lm_name
((${#tests[@]})) || tests=(test)
tables=("$root/recipes/$recipe"/*.t[sx][vt]) # corrections, pronunciations

stage() { printf '%s\0' "$@" ''; } # a line of the plan: NAME MODULE ARGUMENTS... OUTPUT, @FILE: read as well

{
  stage data "local.$recipe" "${own[@]}" "${tables[@]/#/@}" "$data"
  stage data steps.perturb_speed --config "$conf/speeds.yaml" --nj "$nj" "${allow[@]}" "$data/train" "$data/train_sp"
  stage feats steps.make_feats --config "$conf/feats.yaml" --nj "$nj" "${allow[@]}" "$data" "$feats"
  stage lang steps.prepare_lang --config "$conf/lang.yaml" "${unknown_words[@]}" \
    "$data/train" "$data/local/dict" "$lang"
  stage lang steps.train_lm --lm "${lm:-$lm_name}" "$data" "$lang" "$grammar"
  stage mono steps.train_mono --config "$conf/mono.yaml" --nj "$nj" --seed "$seed" "${unknown_words[@]}" \
    "$feats/train" "$lang" "$exp/mono"
  for set in train_sp dev; do
    stage align steps.align --config "$conf/align.yaml" --nj "$nj" "${unknown_words[@]}" \
      "$feats/$set" "$lang" "$exp/mono" "$exp/mono_ali/$set"
  done
  stage nnet steps.train_nnet --config "$conf/training.yaml" --config "$nnet" --seed "$seed" \
    --workers "$workers" --threads $((nj > workers ? nj / workers : 1)) --cluster "$cluster" \
    "$feats/train_sp" "$feats/dev" "$lang" "$exp/mono_ali/train_sp" "$exp/mono_ali/dev" "$exp/$name"
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
