"""What is written on the pages: labels of controls and running text in the languages of user interfaces."""

LABELS = {
    "en": (
        "Save;Cancel;Submit;Sign in;Log out;Next;Back;Delete;Edit;Share;Export;Import;Settings;Profile;Download;Upload;"
        "Search;Filter;Apply;Reset;Add to cart;Checkout;Reply;Forward;Archive;New message;Create project;Invite;Run;"
        "Stop;Deploy;Refresh;Help;More;Close;Open;View all;Learn more;Start meeting;Join;Mute;Record;Copy link;Print;"
        "Undo;Redo;Insert;Format;Tools;File;View;Window;Home;Inbox;Sent;Drafts;Trash;Calendar;Contacts;Reports;OK;"
        "Dashboard;Billing;Teams;Security;Notifications;Overview;Analytics;Issues;Actions;Wiki;Email address;Password;"
        "First name;Phone number;Country;City;Company;Amount;Quantity;Due date;Priority;Status;Assignee;Title;"
        "Description;Comments;Category;Tags;Price;Total;Balance;Users;Remember me;I agree;Dark mode;Auto-save;"
        "Weekly digest;Show hidden;Read the documentation;Terms of service;Page layout;Slide show;Review;References"
    ),
    "de": (
        "Speichern;Abbrechen;Anmelden;Weiter;Zurück;Löschen;Bearbeiten;Teilen;Einstellungen;Herunterladen;Suchen;Datei;"
        "Anwenden;In den Warenkorb;Antworten;Neue Nachricht;Projekt anlegen;Ausführen;Hilfe;Schließen;Ansicht;Fenster;"
        "Posteingang;Entwürfe;Papierkorb;Kalender;Berichte;Übersicht;Sicherheit;E-Mail-Adresse;Passwort;Vorname;Stadt"
    ),
    "fr": (
        "Enregistrer;Annuler;Se connecter;Suivant;Retour;Supprimer;Modifier;Partager;Paramètres;Télécharger;Rechercher;"
        "Appliquer;Répondre;Nouveau message;Exécuter;Aide;Fermer;Affichage;Fenêtre;Boîte de réception;Brouillons;Agenda;"
        "Rapports;Aperçu;Sécurité;Adresse e-mail;Mot de passe;Prénom;Ville;Quantité;Fichier;Édition"
    ),
    "es": (
        "Guardar;Cancelar;Iniciar sesión;Siguiente;Atrás;Eliminar;Editar;Compartir;Ajustes;Descargar;Buscar;Aplicar;"
        "Responder;Mensaje nuevo;Ejecutar;Ayuda;Cerrar;Ver;Ventana;Borradores;Papelera;Calendario;Informes;Seguridad;"
        "Contraseña;Nombre;Ciudad;Cantidad;Archivo;Edición;Insertar;Formato"
    ),
    "ru": (
        "Сохранить;Отмена;Войти;Далее;Назад;Удалить;Изменить;Поделиться;Настройки;Скачать;Поиск;Применить;Ответить;"
        "Новое сообщение;Запустить;Справка;Закрыть;Вид;Окно;Входящие;Черновики;Корзина;Календарь;Отчёты;Обзор;Пароль;Файл"
    ),
    "ja": (
        "保存;キャンセル;ログイン;次へ;戻る;削除;編集;共有;設定;ダウンロード;検索;適用;返信;新規メッセージ;実行;ヘルプ;閉じる;表示;"
        "ウィンドウ;受信トレイ;下書き;ゴミ箱;カレンダー;レポート;概要;パスワード;ファイル;挿入;書式"
    ),
    "zh": (
        "保存;取消;登录;下一步;返回;删除;编辑;分享;设置;下载;搜索;应用;回复;新邮件;运行;帮助;关闭;视图;窗口;收件箱;草稿;垃圾箱;"
        "日历;报告;概览;密码;文件;插入;格式;工具;数据;审阅"
    ),
    "ko": "저장;취소;로그인;다음;뒤로;삭제;편집;공유;설정;다운로드;검색;적용;답장;새 메시지;실행;도움말;닫기;보기;창;받은편지함;임시보관함;휴지통;달력;보고서;개요;비밀번호;파일",
    "ar": "حفظ;إلغاء;تسجيل الدخول;التالي;رجوع;حذف;تحرير;مشاركة;الإعدادات;تنزيل;بحث;تطبيق;رد;رسالة جديدة;تشغيل;مساعدة;إغلاق;عرض;نافذة;البريد الوارد;المسودات;التقويم;التقارير",
    "he": "שמירה;ביטול;כניסה;הבא;חזרה;מחיקה;עריכה;שיתוף;הגדרות;הורדה;חיפוש;החלה;תשובה;הודעה חדשה;הפעלה;עזרה;סגירה;תצוגה;חלון;דואר נכנס;טיוטות;לוח שנה;דוחות",
    "hi": "सहेजें;रद्द करें;साइन इन;अगला;वापस;हटाएं;संपादित करें;साझा करें;सेटिंग;डाउनलोड;खोजें;लागू करें;उत्तर दें;नया संदेश;चलाएं;सहायता;बंद करें;देखें;इनबॉक्स;कैलेंडर",
    "th": "บันทึก;ยกเลิก;เข้าสู่ระบบ;ถัดไป;กลับ;ลบ;แก้ไข;แชร์;ตั้งค่า;ดาวน์โหลด;ค้นหา;ใช้;ตอบกลับ;ข้อความใหม่;เรียกใช้;ช่วยเหลือ;ปิด;มุมมอง;หน้าต่าง;ปฏิทิน",
}
# Fonts with the letters of a language, as package names after "@fontsource/"; "" are the Latin ones.
FONT_OF = {
    "ja": "noto-sans-jp",
    "zh": "noto-sans-sc",
    "ko": "noto-sans-kr",
    "ar": "noto-sans-arabic",
    "he": "noto-sans-hebrew",
    "hi": "noto-sans-devanagari",
    "th": "noto-sans-thai",
    "ru": "noto-sans",
}
RIGHT_TO_LEFT = ("ar", "he")
PROSE = (
    "the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one "
    "you were all her she there would their we him been has when who will no more if out so up said what its about than "
    "into them can only other time new some could these two may first then do any like my now over such our man even "
    "most made after also did many off before must well back through years much where your way down should because long "
    "each just state those people too mister little good world make very year still see own work men day get here water "
    "budget meeting review server account project design market report system customer release window keyboard network "
    "morning quarter library language question answer number result section version change update request response"
).split()
