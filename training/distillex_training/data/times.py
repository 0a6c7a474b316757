"""Times in Chinese text, found by rules: what closes the type ``time`` in corpora that do not label it.

A small grammar. Words that name a time (*atoms*: a year, a month, a day, a holiday, a dynasty, a part of the day, a clock
time) are found with one regular expression, joined while they go from coarse to fine (``2024年`` + ``6月`` + ``1日`` +
``下午``), then joined to ranges. Some atoms are no time by themselves (``下午``, ``8点``): what holds nothing else is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from distillex_matcher import normalize

# Every pattern is applied to normalized text: simplified characters, half width, lower case.
_NUMERAL = "[一二三四五六七八九十]"
_DIGIT = "[一二三四五六七八九〇零○]"
_DASH = "[-~–—―−∼〜]"
_TO = f" ?(?:{_DASH}{{1,2}}|[至到]) ?"
_YEAR4 = r"(?:1\d|20|21)\d\d"
_MONTH = "(?:1[0-2]|0?[1-9])"
_DAY = r"(?:3[01]|[12]\d|0?[1-9])"
_HOUR = r"(?:2[0-4]|[01]?\d)"
_CHINESE_HOUR = "(?:二?十[一二三四]?|十[五六七八九]|二十|[一二两三四五六七八九零])"
_CHINESE_DAY = f"(?:初(?:{_NUMERAL})|廿{_NUMERAL}?|三十一?|二十{_DIGIT}?|十{_DIGIT}?|{_DIGIT})"
_PHASE = "(?:[初中末][期叶]|[早晚前后末]期|[初末底](?![中一二三四级步始恋审试选]))"
_YEAR_END = "(?: ?年?[底末]| ?年?初(?![中一二三四级步始恋审试选期]))"
_STEMS, _BRANCHES = "[甲乙丙丁戊己庚辛壬癸]", "[子丑寅卯辰巳午未申酉戌亥]"

_ERAS = (
    "建元|元光|元朔|元狩|元鼎|元封|太初|天汉|太始|征和|始元|本始|地节|神爵|五凤|甘露|黄龙|永光|建昭|竟宁|建始|河平|阳朔|鸿嘉|永始|"
    "元延|绥和|建平|元寿|元始|建武|中元|永平|建初|元和|章和|永元|延平|永初|建光|延光|阳嘉|永和|本初|建和|永兴|永寿|延熹|永康|"
    "建宁|熹平|光和|中平|初平|兴平|建安|黄初|太和|青龙|景初|正始|嘉平|正元|景元|章武|建兴|延熙|景耀|炎兴|黄武|嘉禾|赤乌|泰始|咸宁|"
    "太康|元康|永宁|永嘉|大兴|咸和|咸康|升平|太元|隆安|义熙|永初|元嘉|孝建|大明|天监|中大通|太清|"
    "太延|延兴|承明|景明|永平|延昌|熙平|神龟|正光|武定|开皇|仁寿|武德|贞观|永徽|显庆|龙朔|麟德|乾封|总章|咸亨|上元|"
    "仪凤|调露|永隆|开耀|永淳|弘道|嗣圣|垂拱|天授|证圣|万岁通天|圣历|久视|神龙|景龙|景云|先天|开元|天宝|至德|乾元|宝应|"
    "广德|永泰|大历|建中|兴元|贞元|元和|长庆|宝历|开成|会昌|大中|咸通|乾符|广明|光启|文德|龙纪|景福|乾宁|光化|天复|"
    "天祐|开平|同光|长兴|清泰|天福|乾祐|广顺|显德|建隆|乾德|开宝|太平兴国|雍熙|端拱|淳化|至道|咸平|景德|大中祥符|"
    "天禧|乾兴|天圣|明道|景祐|宝元|康定|庆历|皇祐|至和|嘉祐|治平|熙宁|元丰|元祐|绍圣|元符|建中靖国|崇宁|大观|政和|重和|宣和|靖康|"
    "建炎|绍兴|隆兴|乾道|淳熙|绍熙|庆元|嘉泰|开禧|嘉定|宝庆|绍定|端平|嘉熙|淳祐|宝祐|开庆|景定|咸淳|德祐|景炎|祥兴|统和|重熙|"
    "天会|天眷|皇统|正隆|明昌|承安|泰和|大安|贞祐|兴定|正大|中统|至元|元贞|大德|至大|皇庆|延祐|至治|泰定|天历|至顺|元统|至正|"
    "洪武|建文|永乐|洪熙|宣德|正统|景泰|天顺|成化|弘治|正德|嘉靖|隆庆|万历|泰昌|天启|崇祯|弘光|隆武|永历|天命|天聪|崇德|顺治|康熙|"
    "雍正|乾隆|嘉庆|道光|咸丰|同治|光绪|宣统|大业|民国|明治|大正|昭和|平成|令和|享保|宽永|元禄|庆应|文禄"
)
_HOLIDAYS = (
    "(?:农历|阴历|传统)?春节(?!联欢)|元旦(?!跨年)|农历新年|新年(?!音乐会|贺词|贺卡|献词|致辞)|"
    "大年(?:初[一二三四五六七八九十]|三十|夜)|年三十|除夕(?:夜)?|正月(?:十五|初[一二三四五六七八九十])|元宵节|元宵(?=佳节|晚会|灯会)|"
    "(?<![王李张刘陈赵杨吴周郑徐马孙胡朱林何郭])(?:清明(?!上河|云|大学)|国庆(?![路街北南东西]))(?:节)?|端午(?:节)?|中秋(?:节)?|七夕(?:节)?|"
    "(?<!王)重阳(?:节)?|中元节|寒食节|腊八(?:节)?(?!粥|蒜)|小年夜|龙抬头|开斋节|古尔邦节|"
    "圣诞(?!老人|树|帽|歌|袜|果)(?:节|夜)?|平安夜|跨年夜|情人节|白色情人节|愚人节|万圣节(?:前夜)?|万圣夜|感恩节|复活节|"
    "父/母亲节|[父母]亲节|教师节|(?:六一)?国?际?儿童节|(?:五一)?(?:国际)?劳动节|(?:三八)?(?:国际)?妇女节|女神节|(?:五四)?青年节|"
    "建军节|建党节|植树节|护士节|记者节|光棍节|黑色星期五|黑五|学雷锋纪念日|国家公祭日|烈士纪念日|世界[读地环无]\\w{1,2}日|"
    "双 ?(?:十一|十二|11|12)(?!\\d)|双旦|(?<![\\d.a-z-])6\\.?18(?![\\d.]|元|万|亿|人|米|号|名|个|家|块|点|只|分|年|路)|六一八|"
    "(?<![\\d一二三四五六七八九十百第零〇])(?:五一(?![一二三四五六七八九〇零]|广场|路|村|街|大道|口号|劳动[奖勋])|"
    "六一(?![一二三四五六七八九〇零]|班|居士)|十一(?=假|期间|黄金周|长假|小长|出行|旅游|出游|观影|当天|国庆))|"
    "立春|惊蛰|春分|谷雨|立夏|芒种|夏至|小暑|大暑|立秋|处暑|白露|秋分|寒露|霜降|立冬|冬至|小寒|大寒"
)
_NOT_MODERN = "(?!理(?!学)|[表码替言购价金收])"
_DYNASTIES = (
    "春秋战国(?:时期)?|春秋(?:时期|时代|末期)|战国(?:时期|时代|初期|中期|末期|末年)|三国(?:时期|时代)|魏晋(?:南北朝)?(?:时期)?|南北朝(?:时期)?|"
    "五代十国(?:时期)?|先秦(?:时期)?|秦汉(?:时期)?|隋唐(?:时期)?|宋元(?:时期)?|明末清初|清末民初|[唐宋元明]、?[宋元明清](?:两[代朝]|时期)|明清|元明清|唐宋|汉魏|"
    "(?<![灭攻征击伐])(?:西周|东周(?![浦家])|西汉|东汉|两汉|西晋(?![中城])|东晋|北宋|南宋|北魏|北齐|北周|晚唐|盛唐|中唐|初唐|晚清|晚明|南明)(?![水海官]?军|朝廷|政府|宗室)(?:时期|末年|末期|初年|初期|中期)?|"
    f"(?<![说声证发文光聪表注透申阐])明(?:代{_NOT_MODERN}|朝(?!晖)|末(?:年)?|初|中叶|中期)(?:时期|末年|末期|初年|初期|中期)?|"
    f"(?:[唐宋汉隋秦清辽]代{_NOT_MODERN}|(?<!\\d)(?<![公美日欧百千万亿])元代{_NOT_MODERN}|(?<![灭攻征击伐入得到率])[唐宋元汉隋秦清晋夏商周辽金]朝(?!乐队|阳|政府|[水海官]?军|大臣|统治|廷|宗室|[的]?朝贡|周边|南征|攻|宣统帝|调))"
    "(?:时期|末年|末期|初年|初期|中期|中叶)?|"
    "(?:唐|宋|汉|清)末(?:年)?|(?<![拎水])清初|汉初|唐初|宋初|元末|"
    "民国(?:时期|期间|初年|初期|末年|年间)|(?:江户|明治|大正|昭和|平成)时[代期]|(?:日[治据占]|清领|清治|飞鸟)(?:时期|末期|初期)|维多利亚时[代期]|香港日占时期|"
    "(?:抗战|抗日战争|解放战争|文革|文化大革命|冷战|[一二]战|第[一二]次世界大战)(?:时期|期间|时(?![间候]))|中世纪|文艺复兴时期|"
    "[新旧]石器时代|青铜时代|侏罗纪(?!公园|世界)|白垩纪|三叠纪|寒武纪(?!科技|\\()"
)
_RELATIVE_DAY = (
    "大[前后]天|昨天|今天|明天|(?<!提)前天|(?<!先天)后天(?!性|培养|努力|形成|教育|免疫|失|因素|习|[的]?环境|之)|"
    "昨日(?!重现)|(?<!@)今日(?!头条|说法|资本|美术|财经|影评)|明日(?!期|方舟|之[星子]|帝国|香|边缘)|[昨今明]儿(?!子|童|女|科)个?|"
    "今下午|今明两天|今[晨早晚夜午]|昨[晨晚夜]|明[早晚晨](?![年期])|当[天晚夜]|当日(?![本军])|次日|翌日|同日(?!本)|是日(?=[，,晚上下早凌])|本日(?![记历语式剧文本])|即日|同一天|前一[天日晚]|(?<!最)后一[天日]|"
    "头一天|新年首日"
)
_NOT_WEEK = "(?![围期转边年全岁密到身遭长刊报游旋折济详知杰星润深迅口庄总氏公恩朝文迪海波华瑜立伯鸿])"
_PERIOD = "凌晨|清晨|早[上晨间朝]|上午|中午|正午|午[间后夜]|下午(?!茶)|傍晚|晚[上间](?!会)|夜[间里晚](?!市)|深夜|半夜|白天|一大?早"

_CENTURY, _ERA, _YEAR, _SEASON, _MONTHS, _WEEK, _DATE, _WEEKDAY, _PART, _CLOCK, _ABOUT = range(11)


class _Rule(NamedTuple):
    rank: int
    """What may follow it within a time has a greater one."""
    alone: bool
    """Whether it is a time by itself."""
    pattern: str


_RULES = (
    # --- whole dates and ranges of years in figures
    _Rule(_DATE, True, rf"(?<![\d.a-z/-])(?:19|20)\d\d(?:-{_MONTH}-(?:{_DAY}(?!\d)|\d\d(?=\d\d:\d\d))|/{_MONTH}/{_DAY}(?!\d)|\.{_MONTH}\.{_DAY}(?![\d.]))"),
    _Rule(_MONTHS, True, rf"(?<![\d.a-z/-])(?:19|20)\d\d(?:[-/.](?:0[1-9]|1[0-2]))(?![\d.%/元万亿米倍]|-\d)"),
    _Rule(_DATE, True, r"(?<![\da-z.])(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?![\da-z.])"),
    _Rule(_YEAR, True, rf"(?<![\d.a-z-])(?:1[1-9]|20)\d\d(?: ?年)?{_TO}(?:(?:1[1-9]|20)\d\d|\d\d(?= ?[年学财])) ?(?:年代?|学年|财年)(?:{_PHASE}|间(?!隔)|前后)?"),
    _Rule(_YEAR, True, rf"(?<![\d.a-z-])(?:1[89]|20)\d\d{_TO}(?:1[89]|20)\d\d(?![\d.\-a-z元万亿米块人个多余户毫])"),
    # --- centuries and decades
    _Rule(_CENTURY, True, rf"(?:(?:公元前?|前) ?)?(?<![\d.半])(?:\d{{1,2}}|(?<![半{_NUMERAL[1:-1]}]){_NUMERAL}{{1,3}}) ?世纪(?!经济报道|教育|不动产|佳缘|福斯|福克斯|华通|大[厦道])(?: ?{_PHASE})?"),
    _Rule(_CENTURY, True, rf"(?:上一?个?|本|这个)世纪(?:{_PHASE})?"),
    _Rule(_YEAR, True, rf"(?<![\d.])(?:(?:1\d|20)?\d0|[五六七八九]?[二三四五六七八九]十|[五六七八九]、[六七八九]十) ?年代(?:{_PHASE})?"),
    # --- eras and dynasties
    _Rule(_ERA, True, rf"[唐宋元明清汉]?(?:{_ERAS}) ?(?:(?:元|{_NUMERAL}{{1,3}}|\d{{1,2}}) ?年(?!来|级)|年间|[初末晚]年|中叶|朝(?![廷野]))"),
    _Rule(_CENTURY, True, _DYNASTIES),
    # --- years
    _Rule(_YEAR, True, rf"(?:公元|西元)前? ?\d{{1,4}} ?年|(?<!之)前\d{{3}} ?年"),
    _Rule(_YEAR, True, rf"(?<![\d.])(?!1[0-5]00|2000 ?年(?:的?历史|前(?!后)))(?:{_YEAR4}) ?年(?!以上|以内|之久|[多来内龄])(?:度|前后|年中|{_YEAR_END})?"),
    _Rule(_YEAR, True, r"(?<![\d.\-~约近了满逾超共计达])(?!618 ?年中)(?:[1-9]\d[1-9]|(?<=[自于在从至到(（])[1-9][1-9]0) ?年(?! ?(?:的|历史|前|后|来|之|以|间|期|多|内|专项|[大老名校]))"),
    _Rule(_YEAR, True, rf"(?<![\d.\-~到至约近了满逾超共计达权位道婚立建业有持长])(?<!今 )(?:0\d|[6-9][1-9]|90) ?年(?! ?(?:的?时间|的?历史|来|内|以|之|多|间|期|级|如一|前(?!后)|后|老))(?:{_YEAR_END})?"),
    _Rule(_YEAR, True, r"(?<![\d.\-~到至约近了满逾超])(?:1\d|2[0-6]) ?年(?= ?(?:年?[底末初]|的?时候|就|春|夏|秋|冬|国庆|元旦|[上下]半年|\d{1,2} ?月|\d森|款))(?:[底末]|初(?!中))?"),
    _Rule(_YEAR, True, rf"(?<!{_DIGIT})(?:[一二]{_DIGIT}{{3}}|[〇零]{_DIGIT}|[六八九][一二三五六〇零]|[七八九][一二四五六〇零]|九[七八]) ?年(?![来级内多])(?:{_YEAR_END})?"),
    _Rule(_YEAR, True, rf"(?:今年|(?<!过)去年|明年|(?<![\d十几多百前])[前后]年|大前年|同年(?![级龄代纪])|[次翌]年|是年(?=[，,春夏秋冬\d])|这年(?=[春夏秋冬])|来年|本年(?=度|[底末初内])|(?<!以)上年(?=[度末底同]))(?:度(?!假)|同期|{_YEAR_END})?(?:稍[后晚])?"),
    _Rule(_YEAR, True, r"当年(?= ?\d{1,2} ?月)"),
    _Rule(_YEAR, True, f"{_STEMS}{_BRANCHES}年|(?<![一-龥])[鼠牛虎兔龙蛇马羊猴鸡狗猪]年(?![货轻龄会画糕度])|(?:{_STEMS}{_BRANCHES})?[鼠牛虎兔龙蛇马羊猴鸡狗猪]年(?=首|第一|开|贺岁|春节|春晚|新春|大吉|正月|将|来临|的)"),
    _Rule(_YEAR, True, r"(?<![\d.])20[012]\d ?[学财]年"),
    _Rule(
        _YEAR,
        True,
        r"(?:(?<![\d.a-z/:#@$¥+=*_-])(?:19[3-9]\d|20[0-3]\d)(?=至今|[)）\]】])|(?<=年[(（])1\d{3}(?=[)）])|(?<=[在于自从])1[5-9]\d\d(?=被)|(?<![\d.a-z])1[5-9]\d\d(?= ?(?:出生|生于))|(?:^|(?<=[^\d.a-z/:《#@$¥+=*_-]))20(?:0[1-9]|[12]\d)(?= ?[一-龥《“「]|:)"
        r"(?! ?(?:[多余个万亿人米块名次家张届号级只条部后平亩斤克点分位台辆股吨度毫公千百十套件场户步年至到和与、以英瓦本天小]|元(?!旦|宵)|新?款|豪华|东西南北)))",
    ),
    # --- seasons, halves and quarters
    _Rule(_SEASON, True, r"(?<!大)(?<!个)[上下前后]半[年月]|(?:(?:第 ?)?[一二三四1-4]|第?[一二三]、[二三四]|[上本下当]|前[二三两])个?季度[初末]?|前三季(?!度)|第[一二三四]财季|(?<=年)前[\d一二三四五六七八九十]{1,2}个?月"),
    _Rule(_SEASON, True, r"(?<=[年\d] |[\d年][年\d])q[1-4](?![\d.a-z])|(?<![a-z\d])q[1-4](?=财|营|净|业绩|季|盈|利|销|出货|交付|gdp)"),
    _Rule(_SEASON, True, r"今[春秋](?!晚)|今夏(?!威)|今冬(?!令)|去冬今春"),
    _Rule(_SEASON, False, r"(?<=[年的])[春夏秋冬](?:[天季]|[初末])?(?![晚运装耕节至分])|(?<=年)[暑寒](?:假|期)|(?<=年)春耕期间"),
    _Rule(_SEASON, True, r"[上下本]个?赛季|(?<![\d.a-z])(?:20)?\d\d(?:[-/](?:20)?\d\d)? ?赛季"),
    _Rule(_MONTHS, True, _HOLIDAYS),
    _Rule(_MONTHS, False, "新春"),
    # --- months
    _Rule(_MONTHS, False, r"农历|[阴公阳旧]历"),
    _Rule(_MONTHS, True, rf"(?<![\d.个第快近])(?:{_MONTH} ?(?:月份?)? ?(?:{_DASH}|[至到、]) ?)?{_MONTH} ?月(?:份(?!额))?(?!龄|婴|子|嫂|薪|租|经|球|卡|票|供|费|大|饼|内|以[上内])(?: ?(?:[上中下]旬|[底末]|初(?!{_NUMERAL})))?"),
    _Rule(_MONTHS, True, rf"(?<![个几每数多两{_NUMERAL[1:-1]}])(?:(?:十[一二]?|[一二三四五六七八九])[至到])?(?:闰?(?:正|腊|冬|十[一二]?|[二三四五六七八九]|一(?=月(?:[上中下]旬|份|[底初末]|{_CHINESE_DAY}[日号]))))月(?:份(?!额))?(?!天|怀胎|革命|龄|之[久内]|内|有余)(?:[上中下]旬|[底末]|初(?!{_NUMERAL}))?"),
    _Rule(_MONTHS, True, r"(?<![\d几多每])(?:上上?个?|下下?个?|这个)月(?![球亮饼子])[底初末]?|本月[底初末]?|当月|(?<!首)次月(?!球)|同月|(?<![每个\d])月[底末初](?![一二三四五六七八九十])|年[底末](?!双薪|奖|分红|多薪|旅游)|年初(?![一二三四五六七八九十])|岁末|年尾|上(?:个|一个?)?交易日"),
    # --- weeks and days
    _Rule(_WEEK, True, rf"(?:上上?|下下?|本|这|前一)(?:个?(?:星期|礼拜)|周{_NOT_WEEK})(?:[一二三四五六日天末](?!次))?|当周(?!期)|(?<![每个\d一两几])(?<!南方)周末(?!双休|愉快)"),
    _Rule(_WEEKDAY, True, r"(?<![每第全\d百数一二两三四五六七八九十几半整])(?:周[一二三四五六日](?![次围鸣])|(?:星期|礼拜)[一二三四五六日天](?!次))(?<!周六福)"),
    _Rule(_DATE, True, _RELATIVE_DAY),
    _Rule(_DATE, True, "第二天(?=一?大?早|上午|中午|下午|傍晚|晚上|凌晨)"),
    _Rule(_DATE, True, "今(?=起(?!来))"),
    _Rule(_DATE, False, rf"(?<=[月月] |.[月])(?:{_DAY} ?(?:[日号]? ?(?:{_DASH}|[至到]) ?|、) ?)?{_DAY} ?[日号](?!线|楼)|(?<=[月份])(?:{_CHINESE_DAY}[日号]|初{_NUMERAL}|廿{_NUMERAL}|[二三]?十{_NUMERAL}?(?=[日号，。,\s]|$))"),
    _Rule(
        _DATE,
        True,
        rf"(?<!\d[~∼–—])(?<![\d.第近每各为满达共超前约续跌升涨留拘/·×-])(?<!行拘|拘留|每月)(?:{_DAY} ?[至到] ?{_DAY}|{_DAY} ?- ?(?:[12]\d|3[01])|{_DAY}) ?日(?! ?(?:游|假|内|以|之|前|后|均|线|龄|元|本|历|成交|年化|[一二三\d]次|圆|军|媒|籍|语|系))",
    ),
    _Rule(
        _DATE,
        True,
        rf"(?:^|(?<=[在于从到至是的了我服等约买前今要就说、，。,;；:：!！?？\s(（“\"~]))(?:{_DAY}|二?十{_DIGIT}|[二三]十) ?号(?! ?(?:线|楼|院|店|门|馆|库|机|舰|位|桌|房|厅|宿|公|基|通|文|令|球|铁|地|种|子|选|厂|坑|井|矿|舱|码|段|台|车|床|柜|技|战|型|宅|大|别|小|厕|主|卫|星|航|字|站|口|染|元素|选手|服务|病|[a-z]))",
    ),
    _Rule(_DATE, True, rf"(?<![\d.]){_MONTH}\.{_DAY}[日号]"),
    _Rule(_DATE, True, rf"(?<![\d.路街巷道弄里村楼栋幢座院区园庄组第a-z一二三四五六七八九十-])(?:{_DAY}|{_CHINESE_DAY}) ?号(?=(?:早上|晚上|上午|中午|下午|凌晨|才|就|送|到货|发货|下单|拍|买|签收))"),
    _Rule(_ABOUT, False, "[早晚]些时候"),
    # --- within the day
    _Rule(_PART, False, _PERIOD + r"|(?<=[日号一二三四五六日天末])[早晚夜午晨](?![会餐报宴安点年婚期高操饭场班熟恋自先已])"),
    _Rule(_CLOCK, True, rf"(?<![\d:.]){_HOUR}:[0-5]\d(?::[0-5]\d)?(?![\d:])(?: ?[ap]\.?m(?![a-z]))?(?! ?(?:战胜|击败|力克|领先|大胜|逆转|落后|轻取|险胜|获胜|拿下|完胜|绝杀))(?:左右)?"),
    _Rule(_CLOCK, True, rf"(?<![\d:.小]){_HOUR} ?时(?![间代候速尚期刻空差装而常])(?: ?[0-5]?\d ?分(?!钟)(?: ?[0-5]?\d ?秒)?| ?许|整)?(?:左右)?|零时(?![间代候])(?:{_NUMERAL}+分|\d{{1,2}}分)?(?:\d{{1,2}}秒)?"),
    _Rule(_CLOCK, True, rf"(?<![\d.])(?:(?:{_HOUR}|(?<![\d十一二三四五六七八九]){_CHINESE_HOUR}) ?点(?:钟|半(?![仙斤])|整(?!体|[个改理])|[0-5]\d分?(?!\d| ?年)|[一三]刻)|{_CHINESE_HOUR}点(?:[二三四五]十{_NUMERAL}?|十(?:[一二三四五六七八九]|(?![分几])))分?|{_HOUR} ?点(?= ?(?:开始|才|起床|出发|上班|下班|下单|订餐|之?前到))|(?<![\d.跌涨高低破升降共有达这那第到])(?:[7-9]|1\d|2[0-4])点(?!以[上下内]|[数评间几位名赞击个人建意内理要注的]))(?:多|左右)?"),
    _Rule(_CLOCK, False, rf"(?<![\d.])(?:(?:{_HOUR} ?{_DASH} ?)?{_HOUR}|(?<!{_NUMERAL}){_CHINESE_HOUR}) ?[点时](?![间代候点评])(?: ?[0-5]?\d ?分(?!钟)|{_NUMERAL}{{1,3}}分?)?(?:多|许|左右)?"),
)

_ATOM = re.compile("|".join(f"(?P<r{number}>{rule.pattern})" for number, rule in enumerate(_RULES)))
_RANK_ALONE = tuple((rule.rank, rule.alone) for rule in _RULES)
_RANGE = re.compile(f" ?起?{_TO}")
_UNTIL_NOW = re.compile(" ?至今")
_BETWEEN = re.compile("(?<=年)间(?!隔)")
_TITLE = re.compile("《[^《》]*》")
_EVERY = re.compile("每(?:[天日晚早周]|个?(?:周|星期|月)|逢)? ?$")


class _Chain(NamedTuple):
    """Atoms that were joined."""

    start: int
    end: int
    first: int
    """Rank of the first atom."""
    last: int
    alone: bool


def find_times(text: str) -> list[tuple[int, int]]:
    """Find the times that a text names.

    Parameters
    ----------
    text
        Any text, in simplified or traditional characters.

    Returns
    -------
    list
        ``(start, end)`` of each time, code points, ``end`` exclusive, in their order, without overlaps. None begins or
        ends with punctuation or white space.
    """
    folded = normalize(text)
    titles = [match.span() for match in _TITLE.finditer(folded)]
    spans = []
    for chain in _ranges(folded, _chains(folded)):
        if not chain.alone:
            continue
        if chain.first >= _WEEK and _EVERY.search(folded, max(0, chain.start - 5), chain.start):
            continue
        if any(start < chain.start < end for start, end in titles):
            continue
        until_now = _UNTIL_NOW.match(folded, chain.end)
        spans.append((chain.start, until_now.end() if until_now else chain.end))
    return spans


def _chains(text: str) -> Iterator[_Chain]:
    chain: _Chain | None = None
    for match in _ATOM.finditer(text):
        rank, alone = _RANK_ALONE[(match.lastindex or 1) - 1]
        start, end = match.span()
        if chain is not None and rank > chain.last and _joined(text, chain, start, rank):
            chain = _Chain(chain.start, end, chain.first, rank, chain.alone or alone or rank == _CLOCK)
            continue
        if chain is not None:
            yield chain
        chain = _Chain(start, end, rank, rank, alone)
    if chain is not None:
        yield chain


def _joined(text: str, chain: _Chain, start: int, rank: int) -> bool:
    gap = text[chain.end : start]
    return not gap or gap.isspace() and len(gap) == 1 or gap == "的" and (chain.last == _YEAR and rank <= _MONTHS or chain.last == _WEEK)


def _ranges(text: str, chains: Iterator[_Chain]) -> Iterator[_Chain]:
    before: _Chain | None = None
    for chain in chains:
        if before is not None and before.alone:
            gap = _RANGE.fullmatch(text, before.end, chain.start)
            if gap and (chain.alone or chain.first >= _DATE):
                between = _BETWEEN.match(text, chain.end)
                end = between.end() if between else chain.end
                before = _Chain(before.start, end, before.first, chain.last, True)
                continue
        if before is not None:
            yield before
        before = chain
    if before is not None:
        yield before
