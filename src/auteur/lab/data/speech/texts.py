"""Texts for synthesis: sentences of everyday words in many languages, and invented words.

Meaning does not matter here; that every pair of neighbouring sounds turns up often does.
"""

import random

_WORDS: dict[str, str] = {
    "en-us": """
        the a my your every this that small brown happy brave quick purple yellow seven dog baby
        farmer people mother paper window river mountain apple bubble thumb voice boat village
        pepper measure vision church judge bridge coffee music morning evening jumps moves builds
        opens brings follows watches remembers and under above before between beyond with without
        maybe perhaps tomorrow over through about five eighty oil boy now how
    """,
    "en": """
        some people usually forget what father bought at the market on thursday evening before
        lunch bath path water better bottle lovely weather thought nothing bloom room pure pull
        book put palm calm film arm harbour umbrella potato tomato problem possible improve
        probably myth breathe teeth three weave wave visit
    """,
    "de": """
        der die das ein mein kleiner schöner grüner böser müder apfel baum pfeffer pflaume mutter
        bruder fenster wasser übermorgen glück küche bücher mädchen milch kirche nacht sprache
        schule straße zeitung wolke vogel hört bringt öffnet bleibt kommt möchte würde und aber
        über unter vor mit ohne heute morgen abend immer niemals wahrscheinlich beim pumpe lampe
        bombe mappe himmel gemüse äpfel häuser europa jung ding
    """,
    "fr": """
        le la un une mon petit grand beau bon vieux jaune bleu pomme maman papa voiture bateau
        fenêtre rue lune feuille fleur peur boeuf oiseau chambre jambe pain vin blanc enfant
        montagne fromage plage joue mange prend ouvre boit peut veut avec sans sous sur demain
        hier toujours jamais beaucoup peu deux huit juillet famille
    """,
    "es": """
        el la un mi perro gato niño madre padre pueblo ventana mesa libro bebé mapa pan vino agua
        llave calle zapato cielo jueves gente bueno pequeño verde viejo rojo abre mueve compra
        bebe habla quiere puede y pero con sin sobre bajo mañana siempre nunca también ahora mucho
        poco cinco abuela pimienta campo bomba
    """,
    "it": """
        il la un mio piccolo bello grande vecchio pane bambino mamma papà nonna acqua vino libro
        foglia gnomo chiave ciliegia giorno notte cuore ombra pioggia cappello gatto zucchero
        bagno campo beve apre mangia vuole porta e ma con senza sopra sotto domani sempre mai
        adesso molto poco cinque pazzo mezzo sbaglio
    """,
    "pt-br": """
        o a um meu pequeno grande bom velho mãe pai menino gato cachorro pão leite água janela
        livro mulher filho chuva coração manhã noite campo sombra ponte bebe abre compra fala quer
        pode e mas com sem sobre amanhã sempre nunca agora muito pouco cinco bonito vermelho
        também bom viagem
    """,
    "nl": """
        de het een mijn klein groot mooi oud brood water moeder vader kind huis deur boom vogel
        muis ui school straat nacht melk boek vuur brug zon bloem opent brengt drinkt wil kan en
        maar met zonder boven onder morgen altijd nooit nu veel weinig vijf zeven appel pomp lamp
        bijna misschien goed jong leuk
    """,
    "pl": """
        mały duży dobry stary mama tata dom okno woda chleb ryba pies kot żaba szkoła ulica
        książka noc dzień mleko pieje otwiera bierze chce może i ale z bez nad pod jutro zawsze
        nigdy teraz dużo pięć babcia pompa
    """,
    "sv": """
        den en min liten stor fin gammal mamma pappa barn hus dörr vatten bröd bok natt sol måne
        sjö skola by öppnar dricker vill kan och men med utan över under imorgon alltid aldrig nu
        mycket fem bomull lampa
    """,
    "tr": """
        bir küçük büyük güzel eski anne baba çocuk ev kapı su ekmek kitap gece güneş deniz okul
        köpek balık açar içer ister ve ama ile yarın her zaman şimdi çok beş pamuk böyle öyle
        mümkün buğday
    """,
}
LANGUAGES: tuple[str, ...] = tuple(_WORDS)
"""eSpeak NG names of the languages that can be made."""
_ONSETS = "p b m f v t d n l r s z k g h j w sp st pl br fl dr tr kl gr sm sn ch sh th"
_NUCLEI = "a e i o u a e i o u ai oi au ea oo ou"
_CODAS = "p b m f v t d n l r s k g ng mp nt st lf sh ch th"
_NO_CODA = 3


def sentence(language: str, chance: random.Random) -> str:
    """Returns four to nine words without a full stop; some are invented, and a comma may make a pause.

    Raises:
        KeyError: The language is not one of `LANGUAGES`.
    """
    words = _WORDS[language].split()
    said = [
        _invented(chance) if chance.random() < 0.3 else chance.choice(words)
        for _ in range(chance.randint(4, 9))
    ]
    if chance.random() < 0.3:
        said[len(said) // 2] += ","
    return " ".join(said)


def _invented(chance: random.Random) -> str:
    onsets, nuclei = _ONSETS.split(), _NUCLEI.split()
    codas = [""] * _NO_CODA + _CODAS.split()
    syllables = range(chance.choice((1, 2, 2, 3)))
    return "".join(chance.choice(onsets) + chance.choice(nuclei) + chance.choice(codas) for _ in syllables)
