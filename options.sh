#!/usr/bin/env bash
# What can be said to run.sh: it reads this file, which turns the command line into variables or refuses it.
# shellcheck disable=SC2034 # the variables are run.sh's
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
  --nnet FILE                 acoustic model, one of ${networks[*]#"$root/"} (default: lstmp)
  --corpus DIR                take the audio from DIR instead of downloading it (all recipes but custom)
  --workdir DIR               where data/ and exp/ go (default: the recipe's folder)
  --recipe NAME               one of: $recipes
  --gmm NAME                  the GMM system whose states and alignments train the network, one of: ${systems[*]}
                              (default: $gmm); each starts from the alignments of the one before
  --realign N                 align again with the network and train it anew on that, N times: exp/NAME_realign1, ...
                              (default: 0)
  --seed N                    seed of all that is random (default: 1)
  --workers N                 processes that train the network, by asynchronous SGD, in --nj threads (default: 2 of two
                              cores or more; 1: plain training, the same bits for the same seed)
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

networks=("$root"/conf/nnet/*.yaml) folders=("$root"/recipes/*)
recipes=${folders[*]##*/} recipe=asterisk language=en workdir=''
systems=(mono tri lda_mllt sat) gmm=mono
nj=$(env -u OMP_NUM_THREADS nproc) workers='' cluster=local seed=1 realign=0
nnet=$root/conf/nnet/lstmp.yaml lm_name=bigram lm=''
runner=() own=() tests=() gmms=() unknown_words=() allow=()
while (($#)); do
  [[ $1 != --*=* ]] || set -- "${1%%=*}" "${1#*=}" "${@:2}"
  [[ $1 != --* ]] || set -- "${1//_/-}" "${@:2}" # --oov_to_unk as well, as the commands have it
  option=$1 value=${2-}
  case $option in
    --help | -h) usage; exit ;;
    --list | --dry-run) runner+=("$option"); shift; continue ;;
    --oov-to-unk) unknown_words=("$option"); shift; continue ;;
    --allow-commands) allow=("$option") own+=("$option"); shift; continue ;;
    --stage | --stop-stage | --nj | --workdir | --recipe | --seed | --workers | --cluster | --gmm | --realign) ;;
    --lm-name | --language) ;;
    --nnet | --corpus | --lm | --train | --dev | --test | --lexicon)
      [[ -e $value ]] || die "$option needs a file or directory; there is no '$value' (see --help)"
      value=$(realpath -s "$value") ;; # absolute: the same wherever the next run is started
    *) usage >&2; die "unknown option '$option'; the known ones are listed above" ;;
  esac
  [[ -n $value && $value != --* ]] || die "$option needs a value (see --help)"
  case $option in
    --stage | --stop-stage) runner+=("$option" "$value") ;;
    --nj | --nnet | --gmm | --workdir | --recipe | --seed | --workers | --cluster | --realign)
      printf -v "${option#--}" %s "$value" ;;
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
[[ "$nj ${workers:-1} 1$seed" =~ ^([1-9][0-9]*\ ?){3}$ ]] ||
  die "--nj '$nj', --workers '${workers:-1}' and --seed '$seed' have to be whole numbers"
[[ "$((nj)) $((${workers:-1})) $((10#$seed))" == "$nj ${workers:-1} $seed" ]] || # bash's numbers go round at 2^63
  die "--nj '$nj', --workers '${workers:-1}' and --seed '$seed' have to be below 2^63, without zeros before them"
workers=${workers:-$((nj > 1 ? 2 : 1))}
[[ $realign =~ ^(0|[1-9][0-9]?)$ ]] || die "--realign is '$realign'; it has to be a whole number from 0 to 99"
[[ $cluster =~ ^(local|ray|ray://.+:[0-9]+)$ ]] || die "--cluster is '$cluster'; there are local, ray, ray://HOST:PORT"
[[ " ${systems[*]} " == *" $gmm "* ]] || die "--gmm is '$gmm'; there are ${systems[*]}"
[[ -n $lm || $lm_name =~ $trained || $recipe/$lm_name == an4/corpus ]] ||
  die "--lm-name is '$lm_name'; recipe $recipe has unigram bigram trigram, 1gram to 9gram$([[ $recipe != an4 ]] || echo ', corpus')"
[[ -z $lm || ! $lm_name =~ $trained ]] || die "--lm $lm: results would call it $lm_name, as one trained here; rename it"
[[ -f $nnet && ! $name =~ ^((mono|tri|lda_mllt|sat)(_.*)?|log|graph_.*|.*_(ali|realign[0-9]+))$ ]] ||
  die "--nnet $nnet: no file, or exp/$name is taken"
[[ $recipe != custom ]] || own+=(--nj "$nj" ${lm:+--lm "$lm"}) # it checks all audio; its lexicon has the model's words
for system in "${systems[@]}"; do # those up to the one that trains the network
  gmms+=("$system")
  [[ $system != "$gmm" ]] || break
done
