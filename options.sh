#!/usr/bin/env bash
# The command line of run.sh: it sources this file, which turns the options into variables or refuses them.
#
# The options of a recipe's data stage stand in recipes/NAME/options, a line each of three columns: option, value, help.
# The value is DIR or FILE (must exist), a|b|c (a choice; any but the first works in a folder of that name below the
# recipe's), - (a flag), or = (as run.sh was given it). A line '--lm-name NAME' is an n-gram model of the corpus's own.
# shellcheck disable=SC2034 # the variables are run.sh's
set -euo pipefail
root=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
die() { echo "error: $*" >&2; exit 2; }

usage() {
  cat <<END
Usage: ./run.sh [options], or recipes/NAME/run.sh [options]

  --stage N, --stop-stage N   run stage N again and what follows from it, up to a stage (name or number, see --list)
  --list                      show the stages and which are done
  --dry-run                   print the commands
  --nj N                      number of processes (default: the cores, $nj)
  --nnet FILE                 acoustic model, one of ${networks[*]#"$root/"} (default: lstmp; lstmp_30ms with --states chain)
  --workdir DIR               where data/ and exp/ go (default: the recipe's folder)
  --recipe NAME               one of: $recipes
  --gmm NAME                  the GMM system whose states and alignments train the network, one of: ${systems[*]}
                              (default: $gmm); each starts from the alignments of the one before
  --states NAME               the network's states: gmm, those of the GMM system, or chain: states for a network with an
                              output every 30 ms (model.skip: 3), with a tree and a graph of their own (default: gmm)
  --cmvn KIND                 normalise the network's filterbanks so, whatever conf/feats.yaml says: ${cmvns[*]}
                              (online can stream); trains exp/NAME_KIND
  --fmllr                     train the network on the features of sat, adapted to the speakers by fMLLR: exp/NAME_fmllr
                              (needs --gmm sat, the default)
  --realign N                 align again with the network and train a new one on that, N times: exp/NAME_realign1, ...
                              (default: 0)
  --init DIR                  start the network from the weights of another one (exp/NAME of any recipe) with the same
                              layers, instead of random ones
  --seed N                    random seed (default: 1)
  --workers N                 processes that train the network, by asynchronous SGD, in --nj threads (default: 2 where
                              there are two cores; 1: plain training, the same bits for the same seed)
  --cluster ray               run them on a Ray cluster with at least --nj cores (ray://HOST:PORT: a remote one)
  --lm-name NAME              unigram, bigram (the default), trigram, 4gram ... of the training text
  --lm FILE                   an ARPA language model instead, plain or .gz
  --oov-to-unk                take words without a pronunciation as <UNK>
END
  for recipe in $recipes; do printf 'recipe %s:\n%s' "$recipe" "${help[$recipe]-}"; done
}

networks=("$root"/conf/nnet/*.yaml) folders=("$root"/recipes/*)
recipes=${folders[*]##*/} recipe=asterisk subfolder='' workdir=''
systems=(mono tri lda_mllt sat) gmm=sat states=gmm cmvns=(speaker online global) cmvn='' fmllr=''
nj=$(env -u OMP_NUM_THREADS nproc) workers='' cluster=local seed=1 realign=0
nnet='' lm_name=bigram lm=''
command_line=(./run.sh) # what makes the same results again: as given, without --stage and --stop-stage
init=() runner=() own=() tests=() gmms=() trees=() unknown_words=() allow=()

# by recipe: its options, those that it takes from run.sh, its language models, and its part of the help
declare -A known=() passed=() models=() help=()
declare -A kinds=() # by "RECIPE OPTION", and by "any OPTION" of the last recipe that has it: the value column

declare_option() { # RECIPE OPTION VALUE HELP: a line of recipes/RECIPE/options
  local recipe=$1 option=$2 value=$3 text=$4 shown=$2
  [[ $option =~ ^--[a-z-]+$ && -n $value ]] ||
    die "recipes/$recipe/options: '$option $value' is not an option and its value; see options.sh"
  [[ $value == - ]] || shown+=" $value"
  case $option:$value in
    --lm-name:*) models[$recipe]+=" $value" ;;
    *:=) passed[$recipe]+=" $option"; return ;;
    *) known[$recipe]+="${known[$recipe]:+ }$option" kinds["$recipe $option"]=$value kinds["any $option"]=$value ;;
  esac
  printf -v text '  %-27s %s' "$shown" "$text"
  help[$recipe]+=$text$'\n'
}

for recipe_name in $recipes; do
  [[ -f $root/recipes/$recipe_name/options ]] || continue
  known[$recipe_name]='' passed[$recipe_name]='' models[$recipe_name]='' help[$recipe_name]=''
  while read -r option value text || [[ -n $option ]]; do
    [[ -z $option || $option == '#'* ]] || declare_option "$recipe_name" "$option" "$value" "$text"
  done <"$root/recipes/$recipe_name/options"
done

arguments=("$@") # first the recipe, wherever it stands: the other options depend on it
for ((i = 0; i < $#; i++)); do
  case ${arguments[i]} in
    --recipe) recipe=${arguments[i + 1]-} ;;
    --recipe=*) recipe=${arguments[i]#*=} ;;
  esac
done

while (($#)); do
  [[ $1 != --*=* ]] || set -- "${1%%=*}" "${1#*=}" "${@:2}"
  [[ $1 != --* ]] || set -- "${1//_/-}" "${@:2}" # --oov_to_unk as well, as the commands have it
  option=$1 value=${2-} kind=${kinds["$recipe $1"]-${kinds["any $1"]-}}
  case $option in
    --help | -h) usage; exit ;;
    --list | --dry-run) runner+=("$option"); shift; continue ;;
    --oov-to-unk) unknown_words=("$option") command_line+=("$option"); shift; continue ;;
    --fmllr) fmllr=$option command_line+=("$option"); shift; continue ;;
    --stage | --stop-stage | --nj | --workdir | --recipe | --seed | --workers | --cluster | --gmm | --states | --realign) ;;
    --lm-name | --cmvn) ;;
    --nnet | --lm) kind=FILE ;;
    --init) kind=DIR ;;
    *)
      [[ -n $kind ]] || { usage >&2; die "unknown option '$option'; the known ones are listed above"; }
      [[ $kind != - ]] || { own+=("$option") command_line+=("$option"); shift; continue; } ;;
  esac
  [[ -n $value && $value != --* ]] || die "$option needs a value (see --help)"
  if [[ $kind == DIR || $kind == FILE ]]; then
    [[ -e $value ]] || die "$option needs a file or directory; there is no '$value' (see --help)"
    value=$(realpath -s "$value") # absolute: the same wherever the next run is started
  fi
  case $option in
    --stage | --stop-stage) runner+=("$option" "$value") ;;
    --nj | --nnet | --gmm | --states | --workdir | --recipe | --seed | --workers | --cluster | --realign | --cmvn)
      printf -v "${option#--}" %s "$value" ;;
    --init)
      [[ -f $value/model.safetensors ]] || die "--init $value: no network is there; it has no model.safetensors"
      init=(--init "$value") ;;
    --lm-name) lm_name=$value ;;
    --lm) lm=$value lm_name=$(basename "${value%.gz}") lm_name=${lm_name%.arpa} lm_name=${lm_name%.lm} ;;
    --test) tests+=("$(basename "$(realpath "$value")")") ;;&
    *) own+=("$option" "$value") ;;
  esac
  [[ $option == --stage || $option == --stop-stage ]] || command_line+=("$option" "$2")
  shift 2
done

[[ " $recipes " == *" $recipe "* && $recipe != *' '* ]] || die "no recipe '$recipe'; there are: $recipes"
[[ -n ${known[$recipe]+declared} ]] ||
  die "recipe $recipe declares no options: recipes/$recipe/options is missing; make it, empty if there are none"
for ((i = 0; i < ${#own[@]}; i++)); do
  option=${own[i]} kind=${kinds["$recipe ${own[i]}"]-}
  [[ -n $kind ]] || die "recipe $recipe has no option $option; it has ${known[$recipe]:-none}"
  [[ $kind != - ]] || continue # a flag; of all others the value comes next
  value=${own[++i]}
  [[ $kind != *'|'* ]] || {
    [[ "|$kind|" == *"|$value|"* ]] || die "$option is '$value'; there are ${kind//|/ }"
    [[ $value == "${kind%%|*}" ]] || subfolder=$value
  }
done
taken=' (train|train_sp|dev|local|feats|lang|lm_[^ ]*) '
[[ ! " ${tests[*]} " =~ $taken ]] || die "--test: data/${BASH_REMATCH[1]} is taken, rename it"
[[ "$nj ${workers:-1} 1$seed" =~ ^([1-9][0-9]*\ ?){3}$ ]] ||
  die "--nj '$nj', --workers '${workers:-1}' and --seed '$seed' have to be whole numbers"
[[ "$((nj)) $((${workers:-1})) $((10#$seed))" == "$nj ${workers:-1} $seed" ]] || # bash's numbers wrap around at 2^63
  die "--nj '$nj', --workers '${workers:-1}' and --seed '$seed' have to be below 2^63, without leading zeros"
workers=${workers:-$((nj > 1 ? 2 : 1))}
[[ $realign =~ ^(0|[1-9][0-9]?)$ ]] || die "--realign is '$realign'; it has to be a whole number from 0 to 99"
[[ $cluster =~ ^(local|ray|ray://.+:[0-9]+)$ ]] || die "--cluster is '$cluster'; there are local, ray, ray://HOST:PORT"
[[ " ${systems[*]} " == *" $gmm "* ]] || die "--gmm is '$gmm'; there are ${systems[*]}"
case $states in
  gmm) states=$gmm nnet=${nnet:-$root/conf/nnet/lstmp.yaml} ;;
  chain) states=tree_$gmm trees=("tree_$gmm") nnet=${nnet:-$root/conf/nnet/lstmp_30ms.yaml} ;;
  *) die "--states is '$states'; there are gmm chain" ;;
esac
[[ -z $cmvn || " ${cmvns[*]} " == *" $cmvn "* ]] || die "--cmvn is '$cmvn'; there are ${cmvns[*]}"
[[ -z $fmllr || $gmm == sat ]] || die "--fmllr takes the features of sat; train it with --gmm sat"
[[ -z $fmllr || -z $cmvn ]] || die "--cmvn $cmvn is for filterbanks, --fmllr takes the features of sat: omit one"
trained='^(uni|bi|tri|[1-9])gram$'
[[ -n $lm || $lm_name =~ $trained || " ${models[$recipe]} " == *" $lm_name "* ]] ||
  die "--lm-name is '$lm_name'; recipe $recipe has unigram bigram trigram, 1gram to 9gram${models[$recipe]:+,}${models[$recipe]}"
[[ -z $lm || ! $lm_name =~ $trained ]] ||
  die "--lm $lm: the name $lm_name is reserved for models trained here; rename the file"
name=$(basename "$nnet" .yaml)
[[ -f $nnet && ! $name =~ ^((mono|tri|lda_mllt|sat)(_.*)?|log|graph_.*|tree_.*|.*_(ali|fmllr|realign[0-9]+))$ ]] ||
  die "--nnet $nnet: no file, or exp/$name is taken"
[[ " ${cmvns[*]} " != *" ${name##*_} "* ]] || die "--nnet $nnet: exp/$name is taken by --cmvn ${name##*_}"
name+=${cmvn:+_$cmvn}${fmllr:+_fmllr}

[[ " ${own[*]} " != *' --allow-commands '* ]] || allow=(--allow-commands)
[[ " ${passed[$recipe]} " != *' --nj '* ]] || own+=(--nj "$nj")
[[ -z $lm || " ${passed[$recipe]} " != *' --lm '* ]] || own+=(--lm "$lm")
shopt -s nullglob
tables=("$root/recipes/$recipe"/*.tsv "$root/recipes/$recipe"/*.txt) # corrections, pronunciations
for system in "${systems[@]}"; do # those up to the one that trains the network
  gmms+=("$system")
  [[ $system != "$gmm" ]] || break
done
